"""Rates, counted in Redis: requests of an API key, and attempts to sign in to the console."""

from typing import NamedTuple

import redis
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter

from pipeline import keys
from pipeline.api_keys import ApiKey
from pipeline.lua import translated


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


class Rates:
    """Counts requests, correctly across any number of processes."""

    def __init__(self, client: redis.Redis, per_minute: int, per_day: int) -> None:
        """Take an undecoded Redis client and the rates of keys that have none of their own."""
        self._limiter = _limiter(client)
        self._per_minute = per_minute
        self._per_day = per_day

    def hit(self, key: ApiKey) -> Standing:
        """Count a request of ``key`` and say whether it is allowed.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        items = (
            RateLimitItemPerMinute(key.per_minute or self._per_minute),
            RateLimitItemPerDay(key.per_day or self._per_day),
        )
        with translated():
            # A request over the minute's rate is refused before it counts against the day's.
            allowed = all(self._limiter.hit(item, key.key_id) for item in items)
            return Standing(allowed, tuple(self._window(item, key) for item in items))

    def _window(self, item: RateLimitItem, key: ApiKey) -> Window:
        stats = self._limiter.get_window_stats(item, key.key_id)
        return Window(item.amount, item.get_expiry(), max(0, stats.remaining), stats.reset_time)


class Attempts:
    """Counts attempts to sign in: of each address, and of all, so that many addresses help none."""

    _OF_ONE = RateLimitItemPerMinute(10)
    _OF_ALL = RateLimitItemPerMinute(100)

    def __init__(self, client: redis.Redis) -> None:
        """Take an undecoded Redis client."""
        self._limiter = _limiter(client)

    def allow(self, address: str) -> bool:
        """Count an attempt from ``address`` and say whether it may be made.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        with translated():
            # What one address has too many does not count against the others.
            return self._limiter.hit(self._OF_ONE, "sign-in", address) and self._limiter.hit(
                self._OF_ALL, "sign-in"
            )


def _limiter(client: redis.Redis) -> FixedWindowRateLimiter:
    # The URI names only the dialect; the pool says where.
    pool = client.connection_pool
    storage = RedisStorage("redis://", connection_pool=pool, key_prefix=keys.RATES_PREFIX)
    return FixedWindowRateLimiter(storage)
