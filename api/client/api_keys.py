"""API keys in the client: operators make, list and revoke them; any key makes its own secret."""

import msgspec

from api.client.arguments import check_key_id
from api.client.transport import Api, decode
from api.schemas.api_keys import (
    KeyList,
    KeyResponse,
    NewKeyRequest,
    NewKeyResponse,
    WebhookSecretResponse,
)

_KEYS = "/keys/"


class Keys:
    """API keys as one of them may see them.

    Every method raises:
        ApiError, UnreachableError: the key is no operator's, or the API cannot be asked.
        ValueError: what is given for a key's id is none, perhaps a whole key; nothing was sent.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def create(self, wanted: NewKeyRequest) -> NewKeyResponse:
        """Make a key. Should the answer be lost, one more is made, whose token nobody knows."""
        headers = {"Content-Type": "application/json"}
        body = msgspec.json.encode(wanted)
        answer = self._api.send("POST", _KEYS, headers=headers, body=lambda: body)
        return decode(answer, NewKeyResponse)

    def list(self) -> list[KeyResponse]:
        """Return every key, revoked ones too."""
        return decode(self._api.send("GET", _KEYS), KeyList).keys

    def revoke(self, key_id: str) -> KeyResponse:
        """Revoke a key, for good; twice is once."""
        return decode(self._api.send("DELETE", _path(key_id)), KeyResponse)

    def make_webhook_secret(self, key_id: str = "self") -> WebhookSecretResponse:
        """Make the secret that signs a key's callbacks; ``self`` is the key that asks.

        It is asked for once: of the secrets before, few sign along, and one whose answer was lost
        counts among them.
        """
        answer = self._api.send("POST", f"{_path(key_id)}webhook-secret/", attempts=1)
        return decode(answer, WebhookSecretResponse)


def _path(key_id: str) -> str:
    check_key_id(key_id)
    return f"{_KEYS}{key_id}/"
