"""Overview of the service (queues, workers, the last hour), read in a fixed number of calls."""

from typing import Any, NamedTuple

import redis
import structlog

from pipeline.broker.heartbeats import Heartbeat, Heartbeats
from pipeline.broker.inspection import Queues, QueueState
from pipeline.broker.names import FIRST_LANES, QUEUES
from pipeline.errors import BrokerUnavailableError
from pipeline.ledger import keys
from pipeline.ledger.connection import translated

log = structlog.get_logger(__name__)

_MINUTES = 60
_KINDS = ("items", "completed", "failed")


class Minute(NamedTuple):
    """Work of one minute.

    Attributes:
        begins_at: start of the minute, in seconds since the epoch.
        items: items staged.
        completed: jobs completed.
        failed: jobs failed, not counting cancelled jobs.
    """

    begins_at: int
    items: int
    completed: int
    failed: int


class RedisState(NamedTuple):
    """State of Redis.

    Attributes:
        version: version of Valkey or Redis.
        used_memory: memory in use, in bytes.
        max_memory: memory limit, in bytes; 0 for no limit.
        appends: whether the append-only file (AOF) is enabled.
    """

    version: str
    used_memory: int
    max_memory: int
    appends: bool


class Overview(NamedTuple):
    """State of the service.

    Attributes:
        at: time at which the overview was read, in milliseconds since the epoch (Redis's clock).
        queues: queues of the broker; empty if the broker is unavailable.
        workers: heartbeats of the workers.
        hour: the last sixty minutes; the current minute is the last element.
        active: number of jobs in flight.
        ended: number of ended jobs that have not been deleted.
        redis: state of Redis.
    """

    at: int
    queues: list[QueueState]
    workers: list[Heartbeat]
    hour: list[Minute]
    active: int
    ended: int
    redis: RedisState

    @property
    def listed_queues(self) -> list[QueueState]:
        """The queues without empty lanes after the first, so that the table stays short."""
        return [each for each in self.queues if each.name in FIRST_LANES or each.size or each.dead]

    @property
    def backlog(self) -> int:
        """Number of waiting, delayed and unacknowledged messages in the queues of jobs."""
        return sum(queue.size for queue in self.queues if queue.name in QUEUES)

    @property
    def oldest_wait(self) -> float | None:
        """Seconds for which the oldest waiting message has waited; None if no message waits."""
        return max((q.oldest_waiting for q in self.queues if q.waiting), default=None)

    @property
    def dead(self) -> int:
        """Dead letters in all queues."""
        return sum(queue.dead for queue in self.queues)

    @property
    def items_a_second(self) -> float:
        """Items staged per second, over the current minute and the one before."""
        seconds = 60 + self.at / 1000 - self.hour[-1].begins_at
        return sum(minute.items for minute in self.hour[-2:]) / seconds

    @property
    def failure_rate(self) -> float | None:
        """Share of failed jobs among those that ended in the last hour; None if none ended."""
        failed = sum(minute.failed for minute in self.hour)
        ended = failed + sum(minute.completed for minute in self.hour)
        return failed / ended if ended else None


class OverviewReader:
    """Reader of the overview.

    The number of calls does not depend on the number of jobs, messages or workers.

    Args:
        client: Redis client of the ledger that decodes responses.
        queues: queues of the broker.
        heartbeats: heartbeats of the workers.
    """

    def __init__(self, client: redis.Redis, queues: Queues, heartbeats: Heartbeats) -> None:
        self._client = client
        self._queues = queues
        self._heartbeats = heartbeats

    def read(self) -> Overview:
        """Return the current state of the service.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        with translated(), self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.info("default")
            pipe.hgetall(keys.MINUTES)
            pipe.zcard(keys.ACTIVE_JOBS)
            pipe.zcard(keys.ENDED_JOBS)
            (seconds, micros), info, minutes, active, ended = pipe.execute()
        return Overview(
            at=seconds * 1000 + micros // 1000,
            queues=self._read_queues(),
            workers=self._heartbeats.workers(),
            hour=_hour(minutes, seconds // 60),
            active=active,
            ended=ended,
            redis=_redis_state(info),
        )

    def _read_queues(self) -> list[QueueState]:
        try:
            return self._queues.read()
        except BrokerUnavailableError as error:  # the rest of the overview is still useful
            log.warning("queues unavailable", reason=str(error))
            return []


def _hour(fields: dict[str, str], current: int) -> list[Minute]:
    """Return the last hour from the ring buffer of counts per minute.

    Args:
        fields: fields of the ring buffer, ``<kind>:<slot>`` with ``<minute> <count>`` as the value.
        current: current minute, in minutes since the epoch.
    """
    minutes = range(current - _MINUTES + 1, current + 1)
    return [
        Minute(minute * 60, *(_count(fields, kind, minute) for kind in _KINDS))
        for minute in minutes
    ]


def _count(fields: dict[str, str], kind: str, minute: int) -> int:
    counted, _, count = fields.get(f"{kind}:{minute % _MINUTES}", "").partition(" ")
    return int(count) if counted == str(minute) else 0


def _redis_state(info: dict[str, Any]) -> RedisState:
    return RedisState(
        version=str(info.get("valkey_version") or info.get("redis_version", "")),
        used_memory=int(info.get("used_memory", 0)),
        max_memory=int(info.get("maxmemory", 0)),
        appends=str(info.get("aof_enabled", "0")) == "1",
    )
