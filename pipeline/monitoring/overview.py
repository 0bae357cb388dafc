"""How the service is doing: queues, workers and the last hour, in a fixed number of calls."""

from typing import Any, NamedTuple

import redis
import structlog

from pipeline.broker.heartbeats import Heartbeat, Heartbeats
from pipeline.broker.inspection import Queues, QueueState
from pipeline.broker.names import QUEUES
from pipeline.errors import BrokerUnavailableError
from pipeline.ledger import keys
from pipeline.ledger.connection import translated

log = structlog.get_logger(__name__)

_MINUTES = 60
_WHAT = ("items", "completed", "failed")


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
        queues: none when the broker does not answer.
        hour: the last sixty minutes, the current one last.
        active, ended: jobs in flight, and jobs that have ended and are kept.
    """

    at: int
    queues: list[QueueState]
    workers: list[Heartbeat]
    hour: list[Minute]
    active: int
    ended: int
    redis: RedisState

    @property
    def backlog(self) -> int:
        """Messages of jobs in flight that wait, are delayed or are being worked on."""
        return sum(queue.size for queue in self.queues if queue.name in QUEUES)

    @property
    def oldest_wait(self) -> float | None:
        """Seconds that the oldest waiting message has waited; None when none waits."""
        return max((q.oldest_waiting for q in self.queues if q.waiting), default=None)

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


class OverviewReader:
    """Reads the overview: no more calls for more jobs, messages or workers.

    Args:
        client: of the ledger; decodes responses.
        queues: of the broker.
        heartbeats: of the workers.
    """

    def __init__(self, client: redis.Redis, queues: Queues, heartbeats: Heartbeats) -> None:
        self._client = client
        self._queues = queues
        self._heartbeats = heartbeats

    def read(self) -> Overview:
        """Return how the service is doing now.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
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
        except BrokerUnavailableError as error:  # the rest is worth showing, then above all
            log.warning("queues unavailable", reason=str(error))
            return []


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
