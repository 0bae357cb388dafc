"""Limits on the items that an API key sends, per minute and per day; off by default.

The rates of :mod:`pipeline.auth.rate_limits` count requests. One request has up to thousands of
items, so these limits bound the work that a key can cause.
"""

from contextlib import suppress
from typing import NamedTuple

import redis

from pipeline.auth.api_key import ApiKey
from pipeline.auth.rate_limits import DAY, MINUTE, Standing, Window, window_of
from pipeline.errors import LedgerUnavailableError
from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts


class _Limit(NamedTuple):
    items: int
    seconds: int


class ItemLimitError(Exception):
    """Raised when a request has more items than its key may send now; none were counted.

    Attributes:
        items: number of items of the request.
        window: the window that they do not fit into.
        standing: state of every window of the key.
    """

    def __init__(self, items: int, window: Window, standing: Standing) -> None:
        super().__init__(f"{items} items exceed the limit of {window.limit} per {window.seconds} s")
        self.items = items
        self.window = window
        self.standing = standing


class ItemLimits:
    """Limits on items that count across any number of processes.

    Args:
        client: Redis client that decodes responses.
        per_minute, per_day: limits of a key that has none of its own; 0 for no limit.
    """

    def __init__(self, client: redis.Redis, per_minute: int, per_day: int) -> None:
        self._run = Scripts(client).run
        self._per_minute = per_minute
        self._per_day = per_day

    def standing(self, key: ApiKey) -> Standing | None:
        """Return the state of a key's windows; None if the key has no limit on items.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        return self._count(key, 0)

    def take(self, key: ApiKey, items: int) -> None:
        """Count the items of a request.

        Raises:
            ItemLimitError: the key would exceed a limit.
            LedgerUnavailableError: Redis is unreachable.
        """
        standing = self._count(key, items)
        if standing is not None and not standing.allowed:
            over = [window for window in standing.windows if window.remaining < items]
            raise ItemLimitError(items, over[-1], standing)

    def give_back(self, key: ApiKey, items: int) -> None:
        """Take back the count of a request that was not accepted, if Redis is reachable."""
        with suppress(LedgerUnavailableError):
            self._count(key, -items)

    def _count(self, key: ApiKey, items: int) -> Standing | None:
        limits = [limit for limit in self._limits(key) if limit.items]
        if not limits:
            return None
        names = [keys.item_rate(key.key_id, limit.seconds) for limit in limits]
        arguments = [number for limit in limits for number in limit]
        allowed, *counted = self._run("count_items", names, items, *arguments)
        pairs = zip(limits, counted[::2], counted[1::2], strict=True)
        return Standing(bool(allowed), tuple(window_of(*limit, *pair) for limit, *pair in pairs))

    def _limits(self, key: ApiKey) -> tuple[_Limit, _Limit]:
        return (
            _Limit(key.items_per_minute or self._per_minute, MINUTE),
            _Limit(key.items_per_day or self._per_day, DAY),
        )
