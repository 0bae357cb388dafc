"""Backlog: the number of unprocessed messages, and admission of new jobs against its limit."""

import math
import time

import redis

from pipeline.broker.inspection import Queues
from pipeline.broker.names import QUEUES
from pipeline.ledger import keys
from pipeline.ledger.connection import translated

#: Staged chunks are counted in buckets of 10 seconds; the latest 6 buckets give the rate.
_BUCKET, _BUCKETS = 10, 6
#: Bounds of ``retry_after``, in seconds.
_LEAST_WAIT, _MOST_WAIT = 5, 600


class BacklogFullError(Exception):
    """Raised when the chunks of a job do not fit into the backlog.

    Attributes:
        retry_after: seconds until the backlog should have room, estimated from the rate of the last
            minute.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the backlog is full; retry after {retry_after} s")
        self.retry_after = retry_after


class Backlog:
    """The unprocessed messages in the queues of jobs.

    Args:
        client: Redis client that decodes responses.
        queues: the broker's queues.
        limit: largest number of messages in the backlog.
    """

    def __init__(self, client: redis.Redis, queues: Queues, limit: int) -> None:
        self._client = client
        self._queues = queues
        self._limit = limit

    def size(self) -> int:
        """Return the number of messages that are waiting, delayed or being processed.

        Raises:
            UnavailableError: Redis or the broker is unavailable; retry later.
        """
        return self._queues.size(*QUEUES)

    def nothing_waits(self) -> bool:
        """Return True if no message waits for a worker.

        Messages that a worker has fetched do not count. If a lost connection or a failover loses a
        delivery or an acknowledgement, the message counts as fetched until the worker ends.

        Raises:
            UnavailableError: Redis or the broker is unavailable; retry later.
        """
        return self._queues.waiting(*QUEUES) == 0

    def admit(self, chunks: int) -> None:
        """Check that ``chunks`` more messages fit into the backlog.

        A job larger than the limit is admitted while the backlog is empty.

        Raises:
            BacklogFullError: the backlog would exceed its limit.
            UnavailableError: Redis or the broker is unavailable; retry later.
        """
        waiting = self.size()
        if waiting and waiting + chunks > self._limit:
            raise BacklogFullError(self._wait_for(waiting + chunks - self._limit))

    def _wait_for(self, messages: int) -> int:
        rate = self._drain_rate()
        if not rate:
            return _MOST_WAIT
        return min(_MOST_WAIT, max(_LEAST_WAIT, math.ceil(messages / rate)))

    def _drain_rate(self) -> float:
        current = int(time.time()) // _BUCKET
        wanted = [str(current - age) for age in range(_BUCKETS)]
        with translated():
            counts = self._client.hmget(keys.DRAINED, wanted)
        return sum(int(count or 0) for count in counts) / (_BUCKET * _BUCKETS)
