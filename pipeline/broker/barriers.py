"""Barriers of Dramatiq's groups, stored under the service's own Redis key prefix."""

from dramatiq.rate_limits.backends import RedisBackend

from pipeline.ledger import keys


class BarrierBackend(RedisBackend):  # type: ignore[misc] # Dramatiq has no types here
    """Dramatiq's Redis backend with prefixed keys instead of bare UUIDs.

    Only the methods that Dramatiq calls for a group's barrier are overridden. Such a barrier is
    decremented and never waited for (dramatiq 2.2, ``rate_limits.Barrier`` with ``block=False``).
    """

    def add(self, key: str, value: int, ttl: int) -> bool:
        """Create a barrier for ``value`` messages; it expires after ``ttl`` milliseconds."""
        return bool(super().add(keys.barrier(key), value, ttl))

    def decr(self, key: str, amount: int, minimum: int, ttl: int) -> bool:
        """Decrement a barrier by one message; return False after the last message."""
        return bool(super().decr(keys.barrier(key), amount, minimum, ttl))

    def wait_notify(self, key: str, ttl: int) -> None:
        """Record that the barrier is cleared."""
        super().wait_notify(keys.barrier(key), ttl)
