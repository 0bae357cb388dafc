"""The imported tokens: SHA-256 -> key id, read from a listing of S3.

A process reads the whole listing, so that it looks up no text that a client sends. However many
unknown texts arrive, it reads the listing once per :data:`_FRESH` seconds: one request for every
1000 imported tokens, and one if nothing was imported.
"""

import re
import time

from pipeline.auth.tokens import token_sha256
from pipeline.errors import StoreUnavailableError
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket

#: Seconds for which the listing is used before a text that it lacks has it read again, normally and
#: while S3 is unavailable.
_FRESH, _STALE = 10, 3600
#: Seconds that one request may take to read the listing. Meanwhile, others use the former one.
_REFRESHING = 60
_NAME = re.compile(re.escape(keys.IMPORTED_KEYS) + r"([0-9a-f]{64})\.([0-9a-z]{12})")


class ImportedTokens:
    """The imported tokens, with a cache per process.

    Every method raises:
        StoreUnavailableError: S3 is unreachable.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._key_ids: dict[str, str] = {}
        self._read_at = self._next_read = float("-inf")

    def find_key_id(self, token: str) -> str | None:
        """Return the id of the key whose token was imported; None if it was not."""
        digest = token_sha256(token)
        if digest not in self._key_ids:
            self._refresh()
        return self._key_ids.get(digest)

    def add(self, token: str, key_id: str) -> None:
        """Record an imported token. Idempotent."""
        digest = token_sha256(token)
        self._bucket.put(keys.imported_key_object(digest, key_id), b"")
        self._key_ids[digest] = key_id

    def _refresh(self) -> None:
        now = time.monotonic()
        usable = now - self._read_at <= _STALE
        if usable:
            if now < self._next_read:
                return
            self._next_read = now + _REFRESHING
        try:
            found = map(_NAME.fullmatch, self._bucket.list_keys(keys.IMPORTED_KEYS))
            self._key_ids = {match[1]: match[2] for match in found if match is not None}
            self._read_at = now
        except StoreUnavailableError:
            if not usable:
                raise
        self._next_read = time.monotonic() + _FRESH
