"""The barriers of Dramatiq's groups, under a key prefix of the service's own."""

from dramatiq.rate_limits.backends import RedisBackend

from pipeline.ledger import keys


class BarrierBackend(RedisBackend):  # type: ignore[misc] # Dramatiq has no types here
    """Dramatiq's backend in Redis, whose keys would else be bare UUIDs.

    A group's barrier is only counted down and never waited for, so these are the methods that are
    called (dramatiq 2.2, ``rate_limits.Barrier`` with ``block=False``).
    """

    def add(self, key: str, value: int, ttl: int) -> bool:
        """Make a barrier for ``value`` messages that lives for ``ttl`` milliseconds."""
        return bool(super().add(keys.barrier(key), value, ttl))

    def decr(self, key: str, amount: int, minimum: int, ttl: int) -> bool:
        """Count a message down; return False when it was the last."""
        return bool(super().decr(keys.barrier(key), amount, minimum, ttl))

    def wait_notify(self, key: str, ttl: int) -> None:
        """Leave a note that the barrier is cleared."""
        super().wait_notify(keys.barrier(key), ttl)
