"""What stands in Dramatiq's queues, and which workers live, as Redis has it.

Dramatiq's own metrics come from workers and say nothing when all are dead.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import redis
from dramatiq import Message

from pipeline import keys
from pipeline.broker import QUEUES, WEBHOOK_QUEUE, WORKER_PREFIX
from pipeline.lua import translated

#: All that there are.
_ALL = (*QUEUES, WEBHOOK_QUEUE)


class QueueState(NamedTuple):
    """One queue.

    Attributes:
        name: of the queue.
        waiting: messages that no worker has fetched.
        in_progress: messages that a worker has fetched and not yet acknowledged.
        delayed: messages that are tried again later.
        dead: dead letters.
        oldest_waiting: seconds since the oldest of those that wait was first sent; 0 for none.
        oldest_dead: seconds since the oldest dead letter became one; 0 for none.
    """

    name: str
    waiting: int
    in_progress: int
    delayed: int
    dead: int
    oldest_waiting: float
    oldest_dead: float


class Queues:
    """The queues of one Redis.

    Args:
        client: does not decode responses.
        heartbeat_timeout: seconds of silence after which a worker counts as dead.
    """

    def __init__(self, client: redis.Redis, heartbeat_timeout: int) -> None:
        self._client = client
        self._heartbeat_timeout = heartbeat_timeout

    def read(self) -> list[QueueState]:
        """Return the state of every queue, in two round trips.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        with translated(), self._client.pipeline(transaction=False) as pipe:
            for queue in _ALL:
                name, letters = keys.queue(queue), keys.dead_letters(queue)
                pipe.llen(name)
                pipe.hlen(keys.messages(queue))
                pipe.hlen(keys.delayed_messages(queue))
                pipe.zcard(letters)
                # Those that a dead worker had fetched come back at the end.
                pipe.lindex(name, 0)
                pipe.lindex(name, -1)
                pipe.zrange(letters, 0, 0, withscores=True)
            found = pipe.execute()
            rows = [found[start : start + 7] for start in range(0, len(found), 7)]
            for queue, row in zip(_ALL, rows, strict=True):
                pipe.hmget(keys.messages(queue), row[4] or b"", row[5] or b"")
            heads = pipe.execute()
        return [
            _state(queue, row, head) for queue, row, head in zip(_ALL, rows, heads, strict=True)
        ]

    def live_workers(self) -> int:
        """Return how many worker processes have shown a sign of life in time.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        since = int((time.time() - self._heartbeat_timeout) * 1000)
        with translated():
            names = cast("list[bytes]", self._client.zrangebyscore(keys.HEARTBEATS, since, "+inf"))
        return sum(name.startswith(WORKER_PREFIX.encode()) for name in names)


def _state(queue: str, row: Sequence[Any], head: Sequence[bytes | None]) -> QueueState:
    waiting, held, delayed, dead, _, _, died = row
    sent = [Message.decode(raw).message_timestamp for raw in head if raw is not None]
    return QueueState(
        name=queue,
        waiting=waiting,
        in_progress=max(0, held - waiting),
        delayed=delayed,
        dead=dead,
        oldest_waiting=_age(min(sent, default=None)),
        oldest_dead=_age(died[0][1] if died else None),
    )


def _age(milliseconds: float | None) -> float:
    """Return the seconds since a time in milliseconds; Dramatiq stamps by local clocks."""
    return 0.0 if milliseconds is None else max(0.0, time.time() - milliseconds / 1000)
