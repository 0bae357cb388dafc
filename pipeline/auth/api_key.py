"""An API key as it is stored: whose it is, what it permits, and how long it works."""

from collections.abc import Sequence
from typing import Annotated, Literal, Required, TypedDict

import msgspec
from msgspec import Meta

Role = Literal["client", "operator"]


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """An API key as it is stored.

    Every key belongs to a tenant, which owns the jobs that its keys send, their Idempotency-Keys
    and the webhook secrets. The first key of a tenant gives it its id and its name. Both stay when
    that key is revoked, and they are the same whichever of its keys a process has read.

    Attributes:
        key_id: public part of the token.
        name: name of the key's user, shown in logs and lists.
        sha256: SHA-256 of the whole token, in hexadecimal. The token has 190 bits of entropy, so a
            fast hash is as safe as a slow one. Imported tokens: see :mod:`pipeline.auth.tokens`.
        per_minute: maximum requests per minute; 0 stands for the service's default.
        per_day: maximum requests per day; 0 stands for the service's default.
        items_per_minute: maximum items per minute; 0 stands for the service's default.
        items_per_day: maximum items per day; 0 stands for the service's default.
        created_at: time of creation, in seconds since the epoch.
        revoked_at: time of revocation, in seconds since the epoch; None if the key is not revoked.
        expires_at: time from which the key no longer works, in seconds since the epoch; None if the
            key does not expire.
        first_key_id: id of the first key of the key's tenant, if that is another key; else empty.
        first_key_name: name of that other key; else empty.
        imported: whether the token was imported, and not made by the service.
        link_bases: bases of the Digital Link URIs that the key may use, the default first; empty
            for ``QRMILL_LINK_BASE``.
    """

    key_id: str
    name: Annotated[str, Meta(min_length=1, max_length=80)]
    role: Role
    sha256: str
    per_minute: int = 0
    per_day: int = 0
    items_per_minute: int = 0
    items_per_day: int = 0
    created_at: int
    revoked_at: int | None = None
    expires_at: int | None = None
    first_key_id: str = msgspec.field(default="", name="tenant")
    first_key_name: str = msgspec.field(default="", name="tenant_name")
    imported: bool = False
    link_bases: tuple[str, ...] = ()

    @property
    def tenant(self) -> str:
        """Id of the tenant that the key belongs to."""
        return self.first_key_id or self.key_id

    @property
    def tenant_name(self) -> str:
        """Name of the tenant that the key belongs to."""
        return self.first_key_name or self.name

    def works_at(self, when: float) -> bool:
        """Return whether the key is neither revoked nor expired.

        Args:
            when: time in seconds since the epoch.
        """
        return self.revoked_at is None and (self.expires_at is None or when < self.expires_at)


class NewApiKey(msgspec.Struct, frozen=True):
    """A new key and its token, which is shown once and not stored."""

    token: str
    key: ApiKey


class KeyFields(TypedDict, total=False):
    """What an operator sets of a new key.

    Attributes:
        name: name of the key's user.
        role: what the key permits.
        per_minute, per_day: rate limits; 0 for the service's defaults.
        items_per_minute, items_per_day: limits on items; 0 for the service's defaults.
        tenant: id or name of the tenant of the key; None for a tenant of its own, which gets the
            name of the key.
        expires_in_days: days after which the key stops working; None for a key that does not
            expire.
        link_bases: bases that the key may use, the default first; empty for ``QRMILL_LINK_BASE``.
    """

    name: Required[str]
    role: Required[Role]
    per_minute: int
    per_day: int
    items_per_minute: int
    items_per_day: int
    tenant: str | None
    expires_in_days: int | None
    link_bases: Sequence[str]
