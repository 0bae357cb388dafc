"""Request rates of an API key: a window of a minute and one of a day, counted in Redis.

The windows are fixed: each begins with a key's first request and starts anew when it is over. One
script counts in both and tells both, because every request waits for it: the ``limits`` library
takes six round trips for the same.
"""

import time
from typing import NamedTuple

import redis

from pipeline.auth.api_keys import ApiKey
from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts

_MINUTE, _DAY = 60, 86_400  # seconds


class Window(NamedTuple):
    """Where a key stands in one window.

    Attributes:
        limit: requests the window allows.
        seconds: its length.
        remaining: requests still allowed.
        resets_at: when it starts anew, in seconds since the epoch.
    """

    limit: int
    seconds: int
    remaining: int
    resets_at: float


class Standing(NamedTuple):
    """A key's standing after a request: whether it was allowed, and every window."""

    allowed: bool
    windows: tuple[Window, ...]

    @property
    def tightest(self) -> Window:
        """The window nearest to its end: fewest requests left, of equal ones the longer wait."""
        return min(self.windows, key=lambda window: (window.remaining, -window.resets_at))


class RateLimits:
    """Counts requests, correctly across any number of processes."""

    def __init__(self, client: redis.Redis, per_minute: int, per_day: int) -> None:
        """Take a Redis client that decodes, and the rates of keys that have none of their own."""
        self._run = Scripts(client).run
        self._per_minute = per_minute
        self._per_day = per_day

    def hit(self, key: ApiKey) -> Standing:
        """Count a request of ``key`` and say whether it is allowed.

        One over the minute's rate is refused before it counts against the day's.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        minute, day = key.per_minute or self._per_minute, key.per_day or self._per_day
        names = [keys.rate(key.key_id, _MINUTE), keys.rate(key.key_id, _DAY)]
        allowed, *told = self._run("count_request", names, minute, _MINUTE, day, _DAY)
        windows = (_window(minute, _MINUTE, *told[:2]), _window(day, _DAY, *told[2:]))
        return Standing(bool(allowed), windows)


def _window(limit: int, seconds: int, count: int, milliseconds_left: int) -> Window:
    return Window(limit, seconds, max(0, limit - count), time.time() + milliseconds_left / 1000)
