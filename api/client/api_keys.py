"""Management of API keys, for operators, and of webhook secrets, for any key."""

import msgspec

from .arguments import check_key_id
from .transport import Api, decode
from .wire_types import (
    KeyList,
    KeyResponse,
    NewKeyRequest,
    NewKeyResponse,
    WebhookSecretResponse,
)

_KEYS = "/keys/"


class Keys:
    """The API keys and webhook secrets that the client's own key may manage.

    Every method raises:
        ApiError: the client's key is not an operator's, or the request was rejected.
        UnreachableError: the API did not respond.
        ValueError: a key id is malformed, for example a whole API key; nothing was sent.
    """

    def __init__(self, api: Api) -> None:
        self._api = api

    def create(self, wanted: NewKeyRequest) -> NewKeyResponse:
        """Create a key.

        If the response is lost, the request is sent again and creates a second key. The first key
        remains, but its token is unknown.
        """
        headers = {"Content-Type": "application/json"}
        body = msgspec.json.encode(wanted)
        response = self._api.send("POST", _KEYS, headers=headers, body=lambda: body)
        return decode(response, NewKeyResponse)

    def list(self) -> list[KeyResponse]:
        """Return every key, including revoked ones."""
        return decode(self._api.send("GET", _KEYS), KeyList).keys

    def revoke(self, key_id: str) -> KeyResponse:
        """Revoke a key permanently. Idempotent."""
        return decode(self._api.send("DELETE", _path(key_id)), KeyResponse)

    def make_webhook_secret(self, key_id: str = "self") -> WebhookSecretResponse:
        """Create the secret that signs a key's webhooks; ``self`` is the client's own key.

        The request is not retried. Only a few former secrets continue to sign, and a secret whose
        response was lost would count as one of them.
        """
        response = self._api.send("POST", f"{_path(key_id)}webhook-secret/", attempts=1)
        return decode(response, WebhookSecretResponse)


def _path(key_id: str) -> str:
    check_key_id(key_id)
    return f"{_KEYS}{key_id}/"
