"""How the service is doing: queues, workers and the last hour, in a fixed number of Redis calls."""

import time
from typing import Any, NamedTuple

import msgspec
import redis

from pipeline import keys
from pipeline.broker import QUEUES, parse_worker_name
from pipeline.lua import translated

_MINUTES = 60
_WHAT = ("items", "completed", "failed")


class QueueDepth(NamedTuple):
    """What is in one queue.

    Attributes:
        waiting: messages that no worker has fetched.
        in_progress: messages that workers have fetched.
        delayed: messages that wait for their next try.
        dead: dead letters.
        oldest_wait: milliseconds since the message that is next was sent; None if none waits.
    """

    name: str
    waiting: int
    in_progress: int
    delayed: int
    dead: int
    oldest_wait: int | None


class Heartbeat(NamedTuple):
    """A worker process, and how long it has been silent, in milliseconds."""

    host: str
    pid: int
    silent: int
    alive: bool


class Minute(NamedTuple):
    """A minute's work: items staged, jobs completed, jobs failed but not cancelled.

    Attributes:
        begins_at: in seconds since the epoch.
    """

    begins_at: int
    items: int
    completed: int
    failed: int


class RedisState(NamedTuple):
    """What Redis says of itself; sizes in bytes, no limit is 0."""

    version: str
    used_memory: int
    max_memory: int
    appends: bool


class Overview(NamedTuple):
    """How the service is doing.

    Attributes:
        at: when, in milliseconds since the epoch, by Redis's clock.
        hour: the last sixty minutes, the current one last.
        active, ended: jobs in flight, and jobs that have ended and are kept.
    """

    at: int
    queues: list[QueueDepth]
    workers: list[Heartbeat]
    hour: list[Minute]
    active: int
    ended: int
    redis: RedisState

    @property
    def backlog(self) -> int:
        """Messages that wait, are delayed or are being worked on."""
        return sum(queue.waiting + queue.in_progress + queue.delayed for queue in self.queues)

    @property
    def oldest_wait(self) -> int | None:
        """Milliseconds that the oldest waiting message has waited."""
        return max((q.oldest_wait for q in self.queues if q.oldest_wait is not None), default=None)

    @property
    def dead(self) -> int:
        """Dead letters in all queues."""
        return sum(queue.dead for queue in self.queues)

    @property
    def items_a_second(self) -> float:
        """Items staged a second, over the current minute and the one before."""
        seconds = 60 + self.at / 1000 - self.hour[-1].begins_at
        return sum(minute.items for minute in self.hour[-2:]) / seconds

    @property
    def failure_rate(self) -> float | None:
        """Share of the last hour's ended jobs that failed; None when none ended."""
        failed = sum(minute.failed for minute in self.hour)
        ended = failed + sum(minute.completed for minute in self.hour)
        return failed / ended if ended else None


class _Sent(msgspec.Struct):
    message_timestamp: int


class OverviewReader:
    """Reads the overview: two round trips, and no more calls for more jobs, messages or workers."""

    def __init__(self, client: redis.Redis, heartbeat_timeout: int) -> None:
        """Take a client that decodes responses.

        Args:
            client: of the ledger and the broker.
            heartbeat_timeout: seconds of silence after which a worker counts as dead.
        """
        self._client = client
        self._patience = heartbeat_timeout * 1000

    def read(self) -> Overview:
        """Return how the service is doing now.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        with translated(), self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.info("default")
            pipe.zrange(keys.HEARTBEATS, 0, -1, withscores=True)
            pipe.hgetall(keys.MINUTES)
            pipe.zcard(keys.ACTIVE_JOBS)
            pipe.zcard(keys.ENDED_JOBS)
            for queue in QUEUES:
                pipe.llen(keys.queue(queue))
                pipe.hlen(keys.messages(queue))
                pipe.hlen(keys.delayed_messages(queue))
                pipe.zcard(keys.dead_letters(queue))
                pipe.lindex(keys.queue(queue), 0)
            (seconds, micros), info, heartbeats, minutes, active, ended, *depths = pipe.execute()
            rows = list(zip(*[iter(depths)] * 5, strict=True))
            for queue, row in zip(QUEUES, rows, strict=True):
                pipe.hget(keys.messages(queue), row[-1] or "")
            oldest = pipe.execute()
        now = seconds * 1000 + micros // 1000
        return Overview(
            at=now,
            queues=[
                _depth(name, row, _sent_at(message), now)
                for name, row, message in zip(QUEUES, rows, oldest, strict=True)
            ],
            workers=self._workers(heartbeats),
            hour=_hour(minutes, seconds // 60),
            active=active,
            ended=ended,
            redis=_redis_state(info),
        )

    def _workers(self, heartbeats: list[tuple[str, float]]) -> list[Heartbeat]:
        # Heartbeats carry the time of the machines that send them, not Redis's.
        now = time.time_ns() // 1_000_000
        found = []
        for name, heard in heartbeats:
            worker = parse_worker_name(name)
            if worker is not None:
                silent = max(0, now - int(heard))
                found.append(Heartbeat(*worker, silent, silent < self._patience))
        return sorted(found)


def _depth(name: str, row: tuple[Any, ...], sent_at: int | None, now: int) -> QueueDepth:
    waiting, messages, delayed, dead, _ = row
    wait = None if sent_at is None else max(0, now - sent_at)
    return QueueDepth(name, waiting, max(0, messages - waiting), delayed, dead, wait)


def _sent_at(message: str | None) -> int | None:
    if message is None:
        return None
    try:
        return msgspec.json.decode(message, type=_Sent).message_timestamp
    except msgspec.DecodeError:  # not a message of ours, and nothing to tell its age by
        return None


def _hour(fields: dict[str, str], current: int) -> list[Minute]:
    """Return the last hour from the ring of counts; ``current`` is minutes since the epoch."""
    minutes = range(current - _MINUTES + 1, current + 1)
    return [
        Minute(minute * 60, *(_count(fields, what, minute) for what in _WHAT)) for minute in minutes
    ]


def _count(fields: dict[str, str], what: str, minute: int) -> int:
    counted, _, count = fields.get(f"{what}:{minute % _MINUTES}", "").partition(" ")
    return int(count) if counted == str(minute) else 0


def _redis_state(info: dict[str, Any]) -> RedisState:
    return RedisState(
        version=str(info.get("valkey_version") or info.get("redis_version", "")),
        used_memory=int(info.get("used_memory", 0)),
        max_memory=int(info.get("maxmemory", 0)),
        appends=str(info.get("aof_enabled", "0")) == "1",
    )
