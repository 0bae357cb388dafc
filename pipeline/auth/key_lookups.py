"""Limits the lookups that unknown API keys cost: anyone can make up tokens of the right form.

A lookup of an id that the latest listing of keys has is always admitted. Of other ids, a process
looks up :data:`_PER_SECOND`; beyond that, it lists the keys once per second instead. However many
unknown keys arrive, they cost a few requests to S3 per second, and a key that was created in
another process during such a flood works after a second.
"""

import time

from pipeline.errors import StoreUnavailableError
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket

#: Maximum number of lookups per second and process of ids that are not in the latest listing.
_PER_SECOND = 10
#: Minimum number of seconds between two listings.
_LISTING_INTERVAL = 1.0


class KeyLookups:
    """The lookups of a process.

    Every method raises:
        StoreUnavailableError: S3 is unreachable.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._listed: frozenset[str] = frozenset()
        self._next_listing = float("-inf")
        self._second = self._lookups = 0

    def admit(self, key_id: str) -> None:
        """Return if a key that is not cached may be looked up.

        Raises:
            StoreUnavailableError: also if it may not be looked up now.
        """
        if key_id in self._listed or self._is_within_rate():
            return
        now = time.monotonic()
        if now >= self._next_listing:
            # Set before the listing, so that other threads do not list meanwhile.
            self._next_listing = now + _LISTING_INTERVAL
            self.list_ids()
        if key_id not in self._listed:
            raise StoreUnavailableError("too many lookups of unknown API keys")

    def list_ids(self) -> frozenset[str]:
        """Return the ids of all keys."""
        names = self._bucket.list_keys(keys.API_KEYS)
        self._listed = frozenset(
            name.removeprefix(keys.API_KEYS).removesuffix(".json") for name in names
        )
        return self._listed

    def _is_within_rate(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lookups = second, 0
        self._lookups += 1
        return self._lookups <= _PER_SECOND
