"""Requests and responses about API keys."""

from typing import Annotated

import msgspec
from msgspec import Meta

from api.schemas.states import Role

KeyId = Annotated[
    str,
    Meta(
        description="Id of the API key: 12 lower-case letters and digits. The id is not secret.",
        examples=["4f9k2m7q1x8z"],
    ),
]
_NAME = "Name of the key's owner, for lists and logs."
_ROLE = "`client`: may use its own tasks. `operator`: may use all tasks and manage API keys."
_PER_MINUTE = "Maximum number of requests per minute; 0 for the service's default."
_PER_DAY = "Maximum number of requests per day; 0 for the service's default."


class NewKeyRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
            description="Time when the key was revoked, ISO 8601; null while the key is valid.",
            examples=["2026-11-23T09:00:00+00:00"],
        ),
    ]


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


class KeyList(msgspec.Struct, frozen=True):
    """Every API key, including revoked ones."""

    keys: Annotated[
        list[KeyResponse],
        Meta(
            description="The keys, oldest first.",
            examples=[
                [
                    {
                        "key_id": "4f9k2m7q1x8z",
                        "name": "print shop",
                        "role": "client",
                        "per_minute": 600,
                        "per_day": 0,
                        "created_at": "2026-11-23T07:00:00+00:00",
                        "revoked_at": None,
                    }
                ]
            ],
        ),
    ]


class WebhookSecretResponse(msgspec.Struct, frozen=True):
    """New webhook secret, which no other response contains."""

    key_id: KeyId
    webhook_secret: Annotated[
        str,
        Meta(
            description="The secret that signs the webhooks of this key's tasks: `whsec_` and "
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
