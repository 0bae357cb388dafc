"""Attempts to sign in to the console, counted in Redis."""

import redis
from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter

from pipeline.ledger import keys
from pipeline.ledger.connection import translated


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
    storage = RedisStorage("redis://", connection_pool=pool, key_prefix=keys.ATTEMPTS_PREFIX)
    return FixedWindowRateLimiter(storage)
