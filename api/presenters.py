"""The pipeline's types as the schemas of the API; no Falcon."""

from datetime import UTC, datetime
from typing import Any

from pipeline.service import ApiKey


def iso(seconds: float) -> str:
    """Return ISO 8601 with offset, in UTC, of a time in seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def key_fields(key: ApiKey) -> dict[str, Any]:
    """Return the fields of a ``KeyResponse`` for ``key``."""
    return {
        "key_id": key.key_id,
        "name": key.name,
        "role": key.role,
        "per_minute": key.per_minute,
        "per_day": key.per_day,
        "created_at": iso(key.created_at),
        "revoked_at": None if key.revoked_at is None else iso(key.revoked_at),
    }
