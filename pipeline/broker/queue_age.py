"""Age of the oldest waiting message, estimated from the ledger because RabbitMQ reports none.

A chunk without an attempt has waited since its job was accepted or reopened. A bundle has waited
since the job's last chunk was staged, and a webhook since it was due.
"""

from collections.abc import Collection
from typing import cast

import redis

from pipeline.broker.lanes import lane_of
from pipeline.broker.names import BUNDLE_QUEUES, EXPRESS_QUEUES, RENDER_QUEUES, WEBHOOK_QUEUE
from pipeline.ledger import keys
from pipeline.ledger.connection import translated

#: Number of jobs in flight that are read, oldest first.
_MOST_JOBS = 500
#: The queues in which a message may wait, the likelier first, and the time since which it waits,
#: in milliseconds since the epoch.
_Wait = tuple[tuple[str, ...], int]
_FIELDS = ("key_id", "chunks", "created_at", "opened_at", "moved_at", "claim_until")


class QueueAge:
    """Estimates waiting times from the ledger.

    Args:
        client: Redis client that decodes responses.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def oldest_waiting(self, nonempty: Collection[str]) -> dict[str, int]:
        """Return, per queue, the time at which the oldest waiting message began to wait.

        The times are in milliseconds since the epoch; a queue without waiting messages is left out.
        A single chunk of a large job that is rendered again waits in an express queue, but counts
        for a render queue here. Of more than 500 jobs in flight, only the oldest 500 are read.

        Args:
            nonempty: the queues in which messages wait. A message that is not in its tenant's
                lane waits in the first lane.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        found: dict[str, int] = {}
        for queues, at in (*self._of_jobs(), *self._of_callbacks()):
            queue = next((each for each in queues if each in nonempty), queues[-1])
            found[queue] = min(at, found.get(queue, at))
        return found

    def _of_jobs(self) -> list[_Wait]:
        with translated(), self._client.pipeline(transaction=False) as pipe:
            tasks = cast("list[str]", self._client.zrange(keys.ACTIVE_JOBS, 0, _MOST_JOBS - 1))
            for task_id in tasks:
                pipe.hmget(keys.job(task_id), _FIELDS)
                pipe.hlen(keys.staged(task_id))
                pipe.hlen(keys.leases(task_id))
                pipe.hlen(keys.failures(task_id))
            pipe.time()
            *rows, (seconds, _) = pipe.execute()
        entries = zip(*[iter(rows)] * 4, strict=True)
        waits = (_wait(fields, *counts, now=seconds * 1000) for fields, *counts in entries)
        return [wait for wait in waits if wait is not None]

    def _of_callbacks(self) -> list[_Wait]:
        with translated():
            first = cast("list[str]", self._client.zrange(keys.CALLBACKS, 0, 0))
            due = self._client.hget(keys.job(first[0]), "callback_due_at") if first else None
        return [((WEBHOOK_QUEUE,), int(cast("str", due)))] if due else []


def _wait(
    fields: list[str | None], staged: int, leased: int, failed: int, *, now: int
) -> _Wait | None:
    tenant, *times = fields
    chunks, created_at, opened_at, moved_at, claim_until = (int(field or 0) for field in times)
    if not chunks:  # the job was deleted meanwhile
        return None
    lane = lane_of(tenant or "")
    if staged == chunks:
        return None if claim_until > now else ((BUNDLE_QUEUES[lane], BUNDLE_QUEUES[0]), moved_at)
    if staged + leased + failed >= chunks:
        return None
    queues = EXPRESS_QUEUES if chunks == 1 else RENDER_QUEUES
    return (queues[lane], queues[0]), max(created_at, opened_at)
