"""Backlog: the number of unprocessed messages, and admission of jobs against its limit.

While the backlog is below half of its limit, every job is admitted. Above, a tenant may have a fair
share of the limit: the limit divided by one more than the number of tenants that have unprocessed
chunks. The tenant that fills the backlog is therefore rejected, and the others are not.
"""

import math
import time

import redis

from pipeline.broker.inspection import Queues
from pipeline.broker.names import QUEUES
from pipeline.ledger import keys
from pipeline.ledger.connection import translated
from pipeline.ledger.unprocessed import UnprocessedChunks

#: Staged chunks are counted in buckets of 10 seconds; the latest 6 buckets give the rate.
_BUCKET, _BUCKETS = 10, 6
#: Bounds of ``retry_after``, in seconds.
_LEAST_WAIT, _MOST_WAIT = 5, 600


class BacklogFullError(Exception):
    """Raised when the backlog is over half of its limit, and the tenant over its share of it.

    Attributes:
        retry_after: seconds until the tenant should be below its share, estimated from the rate of
            the last minute.
        over_limit: whether the job would take the whole backlog over its limit.
    """

    def __init__(self, retry_after: int, *, over_limit: bool) -> None:
        super().__init__(f"over the share of the backlog; retry after {retry_after} s")
        self.retry_after = retry_after
        self.over_limit = over_limit


class Backlog:
    """The unprocessed messages in the queues of jobs.

    Args:
        client: Redis client that decodes responses.
        queues: the broker's queues.
        limit: number of messages that the tenants share.
    """

    def __init__(self, client: redis.Redis, queues: Queues, limit: int) -> None:
        self._client = client
        self._queues = queues
        self._limit = limit
        self._unprocessed = UnprocessedChunks(client)

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

    def admit(self, chunks: int, tenant: str) -> None:
        """Check that a tenant may have ``chunks`` more messages in the backlog.

        A job of any size is admitted if its tenant has no unprocessed chunks, or if the backlog is
        empty.

        Raises:
            BacklogFullError: the tenant would exceed its share.
            UnavailableError: Redis or the broker is unavailable; retry later.
        """
        waiting = self.size()
        if waiting and waiting + chunks > self._limit // 2:
            counts = self._unprocessed.by_tenant()
            own = counts[tenant]
            share = self._limit // (len({*counts, tenant}) + 1)
            if own and own + chunks > share:
                raise BacklogFullError(
                    self._wait_for(own + chunks - share), over_limit=waiting + chunks > self._limit
                )
        self._unprocessed.add(tenant, chunks)

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
