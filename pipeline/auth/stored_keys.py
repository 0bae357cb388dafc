"""The key objects in S3, with a cache per process.

Each process caches a key for :data:`_FRESH` seconds. A revoked key may still work during that time.
"""

import time
from collections.abc import Iterator

import msgspec
import structlog

from pipeline.auth.api_key import ApiKey
from pipeline.auth.key_lookups import KeyLookups
from pipeline.errors import ObjectMissingError, StoreUnavailableError
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket

log = structlog.get_logger(__name__)

#: Seconds for which a cached key is used before it is read again, normally and while S3 is
#: unavailable.
_FRESH, _STALE = 10, 3600
#: Seconds that one request may take to refresh a cached key. Meanwhile, all other requests use
#: the cached key.
_REFRESHING = 60
#: Maximum number of cached keys and of cached unknown ids; a cache that is full is emptied.
_MOST_KEYS, _MOST_UNKNOWN = 10_000, 1000

#: Maps a key id to the time of its last lookup and to the API key, or None if there is no such key.
_Cache = dict[str, tuple[float, ApiKey | None]]


class StoredKeys:
    """The key objects.

    Every method that reads or writes raises:
        StoreUnavailableError: S3 is unreachable.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lookups = KeyLookups(self._list_ids)
        self._remembered: _Cache = {}
        # Unknown ids have a cache of their own. Any client can send them, and they must not evict
        # real keys.
        self._unknown: _Cache = {}
        self._retry_at: dict[str, float] = {}

    def look_up(self, key_id: str) -> ApiKey | None:
        """Return the key with this id from the cache or from S3; None if there is none.

        Raises:
            StoreUnavailableError: also if the process looks up too many unknown ids; a key that
                exists is found a second later.
        """
        now = time.monotonic()
        nothing = (float("-inf"), None)
        read_at, key = self._remembered.get(key_id) or self._unknown.get(key_id, nothing)
        usable = now - read_at <= _STALE
        if now - read_at < _FRESH or (usable and now < self._retry_at.get(key_id, 0)):
            return key
        if usable:  # one request reads the key, so that the others do not wait if S3 hangs
            self._retry_at[key_id] = now + _REFRESHING
        try:
            if key is None:
                self._lookups.admit(key_id)
            key = self.read(key_id)
        except StoreUnavailableError:
            if not usable:
                raise
            # A failed request to S3 may take long. The next requests therefore use the cached key
            # without trying S3.
            self._retry_at[key_id] = time.monotonic() + _FRESH
            return key
        self._remember(key_id, now, key)
        return key

    def _remember(self, key_id: str, read_at: float, key: ApiKey | None) -> None:
        cache, other, most = self._remembered, self._unknown, _MOST_KEYS
        if key is None:
            cache, other, most = other, cache, _MOST_UNKNOWN
        if len(cache) >= most:
            for each in [*cache]:
                self._retry_at.pop(each, None)
            cache.clear()
        cache[key_id] = (read_at, key)
        other.pop(key_id, None)
        self._retry_at.pop(key_id, None)

    def ids(self) -> frozenset[str]:
        """Return the ids of all keys."""
        return self._lookups.ids()

    def read(self, key_id: str) -> ApiKey | None:
        """Return the key with this id from S3; None if there is none, or if it is unreadable."""
        name = keys.api_key_object(key_id)
        try:
            return msgspec.json.decode(self._bucket.get(name), type=ApiKey)
        except ObjectMissingError:
            return None
        except msgspec.DecodeError as error:
            log.warning("API key unreadable", object=name, reason=str(error))
            return None

    def write(self, key: ApiKey) -> None:
        """Write a key; this process uses it at once, and the others within :data:`_FRESH`."""
        name = keys.api_key_object(key.key_id)
        self._bucket.put(name, msgspec.json.encode(key), "application/json")
        self._remembered.pop(key.key_id, None)
        self._unknown.pop(key.key_id, None)

    def _list_ids(self) -> Iterator[str]:
        for name in self._bucket.list_keys(keys.API_KEYS):
            yield name.removeprefix(keys.API_KEYS).removesuffix(".json")
