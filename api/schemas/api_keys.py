"""Requests and responses about API keys."""

from typing import Annotated

import msgspec
from msgspec import Meta

from api.schemas.states import Role
from render.gs1.link_base import MAX_LINK_BASE

KeyId = Annotated[
    str,
    Meta(
        description="Id of the API key: 12 lower-case letters and digits. The id is not secret.",
        examples=["4f9k2m7q1x8z"],
    ),
]
_NAME = "Name of the key's owner, for lists and logs."
_ROLE = "`client`: may use the tasks of its tenant. `operator`: may use all tasks and manage keys."
_PER_MINUTE = "Maximum number of requests per minute; 0 for the service's default."
_PER_DAY = "Maximum number of requests per day; 0 for the service's default."
_ITEMS_PER_MINUTE = "Maximum number of items per minute; 0 for the service's default."
_ITEMS_PER_DAY = "Maximum number of items per day; 0 for the service's default."
_LINK_BASES = (
    "Beginnings of the Digital Link URIs that the key may use: a request chooses one as "
    "`link_base`, and the first is the default. Empty for that of the service."
)
_TENANT_EXAMPLE = "4f9k2m7q1x8z"
KEY_EXAMPLE = {
    "key_id": _TENANT_EXAMPLE,
    "name": "print shop",
    "role": "client",
    "per_minute": 600,
    "per_day": 0,
    "created_at": "2026-11-23T07:00:00+00:00",
    "revoked_at": None,
    "expires_at": None,
    "last_used_at": "2026-11-23",
    "tenant": _TENANT_EXAMPLE,
    "tenant_name": "print shop",
    "imported": False,
    "items_per_minute": 0,
    "items_per_day": 5_000_000,
    "link_bases": ["https://id.example.com"],
}


class NewKeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """API key to create."""

    name: Annotated[
        str, Meta(min_length=1, max_length=80, description=_NAME, examples=["print shop"])
    ]
    role: Annotated[Role, Meta(description=_ROLE, examples=["client"])] = "client"
    per_minute: Annotated[
        int, Meta(ge=0, le=1_000_000, description=_PER_MINUTE, examples=[600])
    ] = 0
    per_day: Annotated[
        int, Meta(ge=0, le=1_000_000_000, description=_PER_DAY, examples=[50_000])
    ] = 0
    tenant: Annotated[
        Annotated[str, Meta(min_length=1, max_length=80)] | None,
        Meta(
            description="Tenant of the key: the id of the tenant or of any of its keys, or the "
            "tenant's name. Null for a new tenant, which gets the id and the name of the key.",
            examples=[_TENANT_EXAMPLE],
        ),
    ] = None
    expires_in_days: Annotated[
        Annotated[int, Meta(ge=1, le=3650)] | None,
        Meta(
            description="Days after which the key expires; null for a key that does not expire.",
            examples=[365],
        ),
    ] = None
    items_per_minute: Annotated[
        int, Meta(ge=0, le=1_000_000_000, description=_ITEMS_PER_MINUTE, examples=[100_000])
    ] = 0
    items_per_day: Annotated[
        int, Meta(ge=0, le=1_000_000_000_000, description=_ITEMS_PER_DAY, examples=[5_000_000])
    ] = 0
    link_bases: Annotated[
        tuple[Annotated[str, Meta(max_length=MAX_LINK_BASE)], ...],
        Meta(max_length=10, description=_LINK_BASES, examples=[["https://id.example.com"]]),
    ] = ()


class ImportKeyRequest(NewKeyRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """API key to create for a token that clients already have."""

    token: Annotated[
        str,
        Meta(
            description="The token: 32 to 255 visible ASCII characters, of which at least 32 were "
            "drawn at random. It does not begin with `qrmill_`. Each token can be imported once.",
            examples=["sk_live_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"],
            extra_json_schema={"minLength": 32, "maxLength": 255, "pattern": r"^[!-~]+$"},
        ),
    ]


class RotationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Rotation of an API key."""

    days: Annotated[
        int,
        Meta(
            ge=0,
            le=365,
            description="Days for which the former key still works; 0 to end it at once.",
            examples=[7],
        ),
    ] = 7


class KeyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """API key, without its secret."""

    key_id: KeyId
    name: Annotated[str, Meta(description=_NAME, examples=["print shop"])]
    role: Annotated[Role, Meta(description=_ROLE, examples=["client"])]
    per_minute: Annotated[int, Meta(description=_PER_MINUTE, examples=[600])]
    per_day: Annotated[int, Meta(description=_PER_DAY, examples=[0])]
    created_at: Annotated[
        str,
        Meta(
            description="Time when the key was created, ISO 8601.",
            examples=["2026-11-23T07:00:00+00:00"],
        ),
    ]
    revoked_at: Annotated[
        str | None,
        Meta(
            description="Time when the key was revoked, ISO 8601; null unless it was revoked.",
            examples=["2026-11-23T09:00:00+00:00"],
        ),
    ]
    expires_at: Annotated[
        str | None,
        Meta(
            description="Time when the key expires, ISO 8601; null if it does not expire.",
            examples=["2026-11-30T07:00:00+00:00"],
        ),
    ] = None
    last_used_at: Annotated[
        str | None,
        Meta(
            description="Day of the last request with the key, ISO 8601 in UTC; null if there was "
            "none.",
            examples=["2026-11-23"],
        ),
    ] = None
    tenant: Annotated[
        str,
        Meta(
            description="Id of the tenant that the key belongs to, which is the id of the tenant's "
            "first key.",
            examples=[_TENANT_EXAMPLE],
        ),
    ] = ""
    tenant_name: Annotated[
        str,
        Meta(
            description="Name of the tenant, which is the name of its first key.",
            examples=["print shop"],
        ),
    ] = ""
    imported: Annotated[
        bool,
        Meta(
            description="Whether the token was imported, and not made by the service.",
            examples=[False],
        ),
    ] = False
    items_per_minute: Annotated[int, Meta(description=_ITEMS_PER_MINUTE, examples=[0])] = 0
    items_per_day: Annotated[int, Meta(description=_ITEMS_PER_DAY, examples=[5_000_000])] = 0
    link_bases: Annotated[
        tuple[str, ...], Meta(description=_LINK_BASES, examples=[["https://id.example.com"]])
    ] = ()


class NewKeyResponse(KeyResponse, frozen=True, kw_only=True):
    """New API key, with the token that no other response contains."""

    api_key: Annotated[
        str,
        Meta(
            description="The token to send in the `X-API-Key` header. Store it now: the service "
            "keeps only a hash and cannot show the token again.",
            examples=["qrmill_4f9k2m7q1x8z_0123456789ABCDEFGHIJKLMNOPQRSTUVabcdef"],
        ),
    ]


class RotatedKeyResponse(NewKeyResponse, frozen=True, kw_only=True):
    """New API key that replaces another one of the same tenant."""

    former: Annotated[
        KeyResponse,
        Meta(
            description="The key that was rotated, with the time when it expires.",
            examples=[KEY_EXAMPLE | {"expires_at": "2026-11-30T07:00:00+00:00"}],
        ),
    ]


class KeyList(msgspec.Struct, frozen=True):
    """Every API key, including revoked and expired ones."""

    keys: Annotated[
        list[KeyResponse],
        Meta(
            description="The keys, oldest first.",
            examples=[[KEY_EXAMPLE]],
        ),
    ]


class WebhookSecretResponse(msgspec.Struct, frozen=True):
    """New webhook secret, which no other response contains."""

    key_id: KeyId
    webhook_secret: Annotated[
        str,
        Meta(
            description="The secret that signs the webhooks of the tenant's tasks: `whsec_` and "
            "Base64, as libraries for Standard Webhooks expect. Store it now: it is not shown "
            "again.",
            examples=["whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="],
        ),
    ]
    former_signs_until: Annotated[
        str | None,
        Meta(
            description="Time until which the former secret signs webhooks as well, ISO 8601; "
            "null if there was no former secret.",
            examples=["2026-11-24T08:00:00+00:00"],
        ),
    ]
    tenant: Annotated[
        str,
        Meta(
            description="Id of the tenant of the key: the secret signs the webhooks of the tasks "
            "of all its keys.",
            examples=[_TENANT_EXAMPLE],
        ),
    ] = ""
