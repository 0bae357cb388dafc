"""Lanes: the queues that the messages of a tenant's jobs are sent to.

Each lane has a queue for large jobs, one for small jobs and one for bundles. The tenant's id
decides the lane. In a worker, each queue has a consumer of its own, which fetches a few messages at
a time, so a tenant with many jobs delays other lanes by a few messages only.

A worker of an older release reads only the first lane, whose queues have the names of that release.
Each consumer therefore notes in Redis that it reads its queue, and a queue that no consumer has
noted recently gets no messages.
"""

import time
import zlib
from collections.abc import Callable
from typing import cast

import redis
import structlog

from pipeline.broker.names import BUNDLE_QUEUES, EXPRESS_QUEUES, LANES, RENDER_QUEUES
from pipeline.ledger import keys

log = structlog.get_logger(__name__)

#: Seconds between two notes of one consumer.
_NOTE_EVERY = 5.0
#: Milliseconds for which a note is valid: three notes may be late or lost.
_VALID_MS = 20_000
#: Seconds for which a process remembers the notes.
_FRESH = 1.0
_NEVER = float("-inf")


def lane_of(tenant: str) -> int:
    """Return the index of a tenant's lane, the same in every process."""
    return zlib.crc32(tenant.encode()) % LANES


class Lanes:
    """Chooses queues.

    Args:
        client: Redis client that decodes responses.
        clock: returns seconds of a clock that never goes back.
    """

    def __init__(self, client: redis.Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._read_at = _NEVER
        self._consumed: frozenset[str] = frozenset()

    def render_queue(self, tenant: str) -> str:
        """Return the queue for the chunks of a tenant's large jobs."""
        return self._choose(RENDER_QUEUES, tenant)

    def express_queue(self, tenant: str) -> str:
        """Return the queue for the single chunks of a tenant's small jobs."""
        return self._choose(EXPRESS_QUEUES, tenant)

    def bundle_queue(self, tenant: str) -> str:
        """Return the queue for the bundles of a tenant's jobs."""
        return self._choose(BUNDLE_QUEUES, tenant)

    def _choose(self, queues: tuple[str, ...], tenant: str) -> str:
        first, wanted = queues[0], queues[lane_of(tenant)]
        return wanted if wanted == first or wanted in self._consumed_queues() else first

    def _consumed_queues(self) -> frozenset[str]:
        if self._clock() - self._read_at >= _FRESH:
            try:
                since = time.time_ns() // 1_000_000 - _VALID_MS
                found = self._client.zrangebyscore(keys.CONSUMED, since, "+inf")
                self._consumed = frozenset(cast("list[str]", found))
            except redis.RedisError:
                # The first lane is always right, and its messages are fair among themselves.
                self._consumed = frozenset()
            self._read_at = self._clock()
        return self._consumed


class ConsumerNotes:
    """Notes that the consumers of this process read their queues.

    Args:
        client: Redis client; it may decode responses or not.
        clock: returns seconds of a clock that never goes back.
    """

    def __init__(self, client: redis.Redis, clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._noted: dict[str, float] = {}

    def note(self, *queues: str) -> None:
        """Note that consumers poll ``queues``; writes at most every few seconds per queue.

        Raises:
            redis.ConnectionError, redis.TimeoutError: Redis is unreachable.
        """
        now, at = self._clock(), time.time_ns() // 1_000_000
        stale = [each for each in queues if now - self._noted.get(each, _NEVER) >= _NOTE_EVERY]
        if not stale:
            return
        self._noted.update(dict.fromkeys(stale, now))
        try:
            self._client.zadd(keys.CONSUMED, dict.fromkeys(stale, at))
        except redis.ResponseError as error:
            # Without notes the queue gets no messages, and the first lane gets them all.
            log.warning("queue not noted", queues=stale, reason=f"{type(error).__name__}: {error}")
