"""Sessions of the operators' console, in Redis: a lost Redis means signing in again.

Who holds a session's token is its operator, so Redis keeps only the token's hash. A session names
an API key and no more; whether that key is still good is looked up at every request.
"""

import hashlib
import secrets
from typing import cast

import redis

from pipeline.ledger import keys
from pipeline.ledger.connection import translated

#: Seconds that a session lasts: a working day.
LIFETIME = 12 * 3600
_TOKEN_BYTES = 32


class Sessions:
    """The sessions. Every method may raise ``LedgerUnavailableError``."""

    def __init__(self, client: redis.Redis) -> None:
        """Take a client that decodes responses."""
        self._client = client

    def begin(self, key_id: str) -> str:
        """Begin a session of an API key and return its token, which is kept nowhere."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        with translated():
            self._client.set(_name(token), key_id, ex=LIFETIME)
        return token

    def find(self, token: str) -> str | None:
        """Return the id of the API key of a session; None when there is no such session."""
        with translated():
            return cast("str | None", self._client.get(_name(token)))

    def end(self, token: str) -> None:
        """End a session; it is no error if there is none."""
        with translated():
            self._client.delete(_name(token))

    def use_form(self, nonce: str) -> bool:
        """Note that a form was sent; False when it was sent before."""
        with translated():
            # As long as the form could be sent again, and a little.
            return bool(self._client.set(keys.sent_form(nonce), 1, nx=True, ex=LIFETIME + 60))


def _name(token: str) -> str:
    return keys.session(hashlib.sha256(token.encode()).hexdigest())
