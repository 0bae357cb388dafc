"""How much work waits, and how fast it is done."""

import math
import time

import redis

from pipeline.broker.inspection import Queues
from pipeline.broker.names import QUEUES
from pipeline.ledger import keys
from pipeline.ledger.connection import translated

#: Seconds of a bucket in which staged chunks are counted, and how many of them make up the rate.
_BUCKET, _BUCKETS = 10, 6
_LEAST_WAIT, _MOST_WAIT = 5, 600  # seconds


class BacklogFullError(Exception):
    """More chunks wait than may.

    Attributes:
        retry_after: seconds after which there should be room, at the rate of the last minute.
    """

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the backlog is full; again in {retry_after} s")
        self.retry_after = retry_after


class Backlog:
    """What waits in the queues.

    Args:
        client: decodes responses.
        queues: of the broker.
        limit: messages that may wait.
    """

    def __init__(self, client: redis.Redis, queues: Queues, limit: int) -> None:
        self._client = client
        self._queues = queues
        self._limit = limit

    def size(self) -> int:
        """Return how many messages are queued, delayed or being worked on.

        Raises:
            UnavailableError: try again later.
        """
        return self._queues.size(*QUEUES)

    def nothing_waits(self) -> bool:
        """Return whether no message waits for a worker.

        Those that workers hold do not count. One whose fetch or acknowledgement was lost with a
        connection, or in a failover, looks as if it were held as long as that worker lives.

        Raises:
            UnavailableError: try again later.
        """
        return self._queues.waiting(*QUEUES) == 0

    def admit(self, chunks: int) -> None:
        """Check that ``chunks`` more may be queued; a job larger than the limit may, if none wait.

        Raises:
            BacklogFullError: they may not.
            UnavailableError: try again later.
        """
        waiting = self.size()
        if waiting and waiting + chunks > self._limit:
            raise BacklogFullError(self._wait_for(waiting + chunks - self._limit))

    def _wait_for(self, messages: int) -> int:
        rate = self._drained_a_second()
        if not rate:
            return _MOST_WAIT
        return min(_MOST_WAIT, max(_LEAST_WAIT, math.ceil(messages / rate)))

    def _drained_a_second(self) -> float:
        current = int(time.time()) // _BUCKET
        wanted = [str(current - age) for age in range(_BUCKETS)]
        with translated():
            counts = self._client.hmget(keys.DRAINED, wanted)
        return sum(int(count or 0) for count in counts) / (_BUCKET * _BUCKETS)
