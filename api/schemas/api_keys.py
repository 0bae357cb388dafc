"""What goes over the wire about API keys."""

from typing import Annotated

import msgspec
from msgspec import Meta

from api.schemas.states import Role


class NewKeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An API key to be made."""

    name: Annotated[str, Meta(min_length=1, max_length=80, description="Whose key it is")]
    role: Annotated[Role, Meta(description="An operator may do everything")] = "client"
    per_minute: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Requests a minute; 0: the default")
    ] = 0
    per_day: Annotated[
        int, Meta(ge=0, le=1_000_000_000, description="Requests a day; 0: the default")
    ] = 0


class KeyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, without its secret."""

    key_id: str
    name: str
    role: Role
    per_minute: int
    per_day: int
    created_at: Annotated[str, Meta(description="ISO 8601")]
    revoked_at: Annotated[str | None, Meta(description="ISO 8601; null while it works")]


class NewKeyResponse(KeyResponse, frozen=True, kw_only=True):
    """A new API key, with the token that is shown this once."""

    api_key: Annotated[str, Meta(description="The token to send as X-API-Key")]


class KeyList(msgspec.Struct, frozen=True):
    """Every API key."""

    keys: list[KeyResponse]


class WebhookSecretResponse(msgspec.Struct, frozen=True):
    """A new webhook secret, which is shown this once."""

    key_id: str
    webhook_secret: Annotated[
        str, Meta(description="`whsec_` and Base64, as Standard Webhooks libraries take it")
    ]
    former_signs_until: Annotated[
        str | None,
        Meta(description="Until when the secret before signs along, ISO 8601; null: none was"),
    ]
