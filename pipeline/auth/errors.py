"""Errors of the management of API keys."""


class UnknownApiKeyError(Exception):
    """Raised when no key has the given id."""


class UnknownTenantError(Exception):
    """Raised when a text is neither a tenant's id nor the name of exactly one tenant.

    Attributes:
        candidates: ids of the tenants that have the name; empty if there is none.
    """

    def __init__(self, candidates: list[str]) -> None:
        super().__init__(f"{len(candidates)} tenants have this name")
        self.candidates = candidates


class KeyExistsError(Exception):
    """Raised when a token was imported before; the message is the id of its key."""


class KeyRevokedError(Exception):
    """Raised when a revoked key cannot be rotated."""
