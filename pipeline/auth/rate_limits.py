"""Rate limits per API key, counted in Redis: a window of one minute and one of one day.

The windows are fixed: a window begins with a key's first request, and the first request after the
window's end begins the next window. One script counts in both windows and returns both counts. This
takes a single round trip, because every request waits for the counts. The ``limits`` library needs
six round trips.
"""

import time
from typing import NamedTuple

import redis

from pipeline.auth.api_key import ApiKey
from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts

#: Lengths of the windows, in seconds.
MINUTE, DAY = 60, 86_400


class Window(NamedTuple):
    """Requests or items of a key in one window.

    Attributes:
        limit: requests or items that the window allows.
        seconds: length of the window.
        remaining: requests or items that are still allowed.
        resets_at: end of the window, in seconds since the epoch.
    """

    limit: int
    seconds: int
    remaining: int
    resets_at: float


class Standing(NamedTuple):
    """Rate-limit state of a key after a request.

    Attributes:
        allowed: whether the request was allowed.
        windows: state of each window, the shortest first.
    """

    allowed: bool
    windows: tuple[Window, ...]

    @property
    def tightest(self) -> Window:
        """The window with the fewest requests left; among equals, the window that ends last."""
        return min(self.windows, key=lambda window: (window.remaining, -window.resets_at))


class RateLimits:
    """Rate limits that count requests across any number of processes."""

    def __init__(self, client: redis.Redis, per_minute: int, per_day: int) -> None:
        """Initialize with a Redis client that decodes responses, and the default rates."""
        self._run = Scripts(client).run
        self._per_minute = per_minute
        self._per_day = per_day

    def hit(self, key: ApiKey) -> Standing:
        """Count a request of ``key`` and return whether it is allowed.

        A request over the limit per minute does not count against the limit per day.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        minute, day = key.per_minute or self._per_minute, key.per_day or self._per_day
        names = [keys.rate(key.key_id, MINUTE), keys.rate(key.key_id, DAY)]
        allowed, *counted = self._run("count_request", names, minute, MINUTE, day, DAY)
        windows = (window_of(minute, MINUTE, *counted[:2]), window_of(day, DAY, *counted[2:]))
        return Standing(bool(allowed), windows)


def window_of(limit: int, seconds: int, count: int, milliseconds_left: int) -> Window:
    """Return a window of which ``count`` is used."""
    return Window(limit, seconds, max(0, limit - count), time.time() + milliseconds_left / 1000)
