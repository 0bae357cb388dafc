"""Management of API keys, for operators, and of webhook secrets, for any key."""

import httpx2
import msgspec

from .arguments import check_key_id
from .transport import Api, decode
from .wire_types import (
    ImportKeyRequest,
    KeyList,
    KeyResponse,
    NewKeyRequest,
    NewKeyResponse,
    RotatedKeyResponse,
    RotationRequest,
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
        return decode(self._post(_KEYS, wanted), NewKeyResponse)

    def import_token(self, wanted: ImportKeyRequest) -> KeyResponse:
        """Create a key for a token that clients already have.

        If the response is lost, the request is sent again and fails with ``not_possible``, because
        the token has been imported. The message names the key.
        """
        return decode(self._post(f"{_KEYS}import/", wanted), KeyResponse)

    def rotate(self, key_id: str, days: int = 7) -> RotatedKeyResponse:
        """Create a key like this one in the same tenant, and have this one expire.

        The request is not retried: a key whose response was lost remains, but its token is unknown.

        Args:
            key_id: id of the key to replace.
            days: days for which the former key still works.
        """
        path = f"{_path(key_id)}rotate/"
        return decode(self._post(path, RotationRequest(days), attempts=1), RotatedKeyResponse)

    def _post(
        self, path: str, wanted: msgspec.Struct, attempts: int | None = None
    ) -> httpx2.Response:
        headers = {"Content-Type": "application/json"}
        body = msgspec.json.encode(wanted)
        return self._api.send("POST", path, headers=headers, body=lambda: body, attempts=attempts)

    def list(self) -> list[KeyResponse]:
        """Return every key, including revoked and expired ones."""
        return decode(self._api.send("GET", _KEYS), KeyList).keys

    def revoke(self, key_id: str) -> KeyResponse:
        """Revoke a key permanently. Idempotent."""
        return decode(self._api.send("DELETE", _path(key_id)), KeyResponse)

    def make_webhook_secret(self, key_id: str = "self") -> WebhookSecretResponse:
        """Create the secret that signs the webhooks of a key's tenant; ``self`` is the own key.

        The request is not retried. Only a few former secrets continue to sign, and a secret whose
        response was lost would count as one of them.
        """
        response = self._api.send("POST", f"{_path(key_id)}webhook-secret/", attempts=1)
        return decode(response, WebhookSecretResponse)


def _path(key_id: str) -> str:
    check_key_id(key_id)
    return f"{_KEYS}{key_id}/"
