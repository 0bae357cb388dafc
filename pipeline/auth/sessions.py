"""Sessions of the operator console and of the portal, stored in Redis.

If Redis loses its data, users have to sign in again.

The token of a session is enough to act as its user, so Redis stores only the token's hash. A
session contains nothing but the id of an API key. Whether that key is still valid is checked at
every request. The kind of a session is part of its name in Redis, so that a session of one kind is
never found as one of the other.
"""

import hashlib
import secrets
from typing import Literal, cast

import redis

from pipeline.ledger import keys
from pipeline.ledger.connection import translated

#: Kinds of sessions: of operators in the console, and of clients in the portal.
SessionKind = Literal["session", "portal"]
#: Lifetime of a session in seconds: a working day.
LIFETIME = 12 * 3600
_TOKEN_BYTES = 32


class Sessions:
    """The sessions of all kinds. Every method may raise ``LedgerUnavailableError``."""

    def __init__(self, client: redis.Redis) -> None:
        """Initialize with a Redis client that decodes responses."""
        self._client = client

    def begin(self, kind: SessionKind, key_id: str) -> str:
        """Begin a session for an API key; return the session's token, which is not stored."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        with translated():
            self._client.set(_name(kind, token), key_id, ex=LIFETIME)
        return token

    def find(self, kind: SessionKind, token: str) -> str | None:
        """Return the API key id of a session, or None if there is no such session of this kind."""
        with translated():
            return cast("str | None", self._client.get(_name(kind, token)))

    def end(self, kind: SessionKind, token: str) -> None:
        """End a session; has no effect if there is no such session."""
        with translated():
            self._client.delete(_name(kind, token))

    def use_form(self, nonce: str) -> bool:
        """Mark a form as submitted; return False if it was submitted before."""
        with translated():
            # Kept for as long as the form can be submitted again, plus a minute.
            return bool(self._client.set(keys.sent_form(nonce), 1, nx=True, ex=LIFETIME + 60))


def _name(kind: SessionKind, token: str) -> str:
    return keys.session(kind, hashlib.sha256(token.encode()).hexdigest())
