"""Limits the lookups that unknown API keys cost: anyone can make up tokens of the right form.

A lookup of an id that the latest listing of keys has is always admitted. Of other ids, a process
looks up :data:`_PER_SECOND`; beyond that, it lists the keys once per second instead. However many
unknown keys arrive, they cost a few requests to S3 per second, and a key that was created in
another process during such a flood works after a second.
"""

import threading
import time
from collections.abc import Callable, Iterable

from pipeline.errors import StoreUnavailableError

#: Maximum number of lookups per second and process of ids that are not in the latest listing.
_PER_SECOND = 50
#: Minimum number of seconds between two listings.
_LISTING_INTERVAL = 1.0


class KeyLookups:
    """The lookups of a process.

    Every method raises:
        StoreUnavailableError: S3 is unreachable.

    Args:
        list_ids: returns the ids of all keys, in one or more requests to S3.
    """

    def __init__(self, list_ids: Callable[[], Iterable[str]]) -> None:
        self._list_ids = list_ids
        self._listed: frozenset[str] = frozenset()
        self._next_listing = float("-inf")
        self._second = self._lookups = 0
        self._listing = threading.Lock()

    def admit(self, key_id: str) -> None:
        """Return if a key that is not cached may be looked up.

        Raises:
            StoreUnavailableError: also if it may not be looked up now.
        """
        if key_id in self._listed or self._is_within_rate():
            return
        # Threads with a new key wait for the listing that another thread has begun: many requests
        # that arrive at once with one valid key are all admitted by it.
        with self._listing:
            if key_id not in self._listed and time.monotonic() >= self._next_listing:
                try:
                    self.ids()
                finally:
                    # From its end, so that none of those who waited for a slow listing begins one.
                    self._next_listing = time.monotonic() + _LISTING_INTERVAL
        if key_id not in self._listed:
            raise StoreUnavailableError("too many lookups of unknown API keys")

    def ids(self) -> frozenset[str]:
        """List the keys, and return the ids of all."""
        self._listed = frozenset(self._list_ids())
        return self._listed

    def _is_within_rate(self) -> bool:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lookups = second, 0
        self._lookups += 1
        return self._lookups <= _PER_SECOND
