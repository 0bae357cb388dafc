"""Heartbeats of workers, and the number of unacknowledged messages of each worker.

Dramatiq's Redis broker keeps heartbeats in Redis; its RabbitMQ broker keeps none. A worker on
RabbitMQ therefore writes a heartbeat to the same Redis key once per second while its consumers
poll. With each heartbeat it writes the number of messages that it has fetched and not yet
acknowledged, because AMQP reports only the messages that no consumer has fetched.
"""

import threading
import time
from collections import Counter
from contextlib import suppress
from typing import NamedTuple, cast

import msgspec
import redis
import structlog
from dramatiq import Broker, Worker
from dramatiq.common import q_name
from dramatiq.middleware import Middleware

from pipeline.broker.lanes import ConsumerNotes
from pipeline.ledger import keys
from pipeline.ledger.connection import translated

log = structlog.get_logger(__name__)

#: Prefix of a worker's broker id. The broker id of an API process has no such prefix.
WORKER = "worker"
_TICK = 1.0  # seconds between heartbeats
_SHUTDOWN_WAIT = 2.0  # maximum seconds that a shutdown waits for the heartbeat's deletion
#: Seconds after which a worker stops its heartbeats if none of its consumers polls. A consumer
#: polls once per second, and waits up to 3 s before it reconnects.
_POLL_TIMEOUT = 5.0
_FORGET = 3_600_000  # milliseconds without a heartbeat after which a worker is no longer listed


def parse_worker_name(name: str) -> tuple[str, int] | None:
    """Return the host and process id in a worker's broker id; None for any other broker id."""
    kind, _, rest = name.partition(":")
    host, _, pid = rest.rpartition(":")[0].rpartition(":")
    return (host, int(pid)) if kind == WORKER and pid.isdecimal() else None


class Heartbeat(NamedTuple):
    """A worker process and the age of its last heartbeat.

    Attributes:
        host: name of the worker's host.
        pid: the worker's process id.
        age_ms: milliseconds since the last heartbeat.
        alive: whether ``age_ms`` is below the heartbeat timeout.
    """

    host: str
    pid: int
    age_ms: int
    alive: bool


class Heartbeats:
    """Reads the workers' heartbeats.

    Args:
        client: Redis client that decodes responses.
        timeout_ms: milliseconds without a heartbeat after which a worker counts as dead.
    """

    def __init__(self, client: redis.Redis, timeout_ms: int) -> None:
        self._client = client
        self._timeout_ms = timeout_ms

    def workers(self) -> list[Heartbeat]:
        """Return all known workers, sorted by host.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        return sorted(self._read().values())

    def alive(self) -> int:
        """Return the number of live worker processes.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        return sum(worker.alive for worker in self._read().values())

    def held(self) -> Counter[str]:
        """Return the number of unacknowledged messages of live workers on RabbitMQ, per queue.

        Dead workers are left out, because RabbitMQ requeues their messages as soon as their
        connections are lost.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        with translated():
            counts = cast("dict[str, str]", self._client.hgetall(keys.HELD))
        found: Counter[str] = Counter()
        for name, worker in self._read().items() if counts else ():
            if worker.alive and name in counts:
                found.update(msgspec.json.decode(counts[name], type=dict[str, int]))
        return found

    def _read(self) -> dict[str, Heartbeat]:
        with translated():
            beats = cast(
                "list[tuple[str, float]]",
                self._client.zrange(keys.HEARTBEATS, 0, -1, withscores=True),
            )
        # A heartbeat has the time of the worker's clock, not that of the Redis server.
        now = time.time_ns() // 1_000_000
        found = {}
        for name, beat_at in beats:
            worker = parse_worker_name(name)
            if worker is not None:
                age_ms = max(0, now - int(beat_at))
                found[name] = Heartbeat(*worker, age_ms, age_ms < self._timeout_ms)
        return found


class HeartbeatMiddleware(Middleware):
    """Writes the heartbeats of a worker on RabbitMQ.

    Args:
        client: Redis client; it may decode responses or not.
        notes: notes which queues the consumers read.

    Attributes:
        name: broker id of the worker; empty in a process that is not a worker.
    """

    name = ""

    def __init__(self, client: redis.Redis, notes: ConsumerNotes) -> None:
        self._client = client
        self._notes = notes
        self._held: dict[str, int] = {}
        self._polled_at = float("-inf")
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def note_poll(self, queue: str, held: int) -> None:
        """Record that a consumer polls ``queue`` and holds ``held`` unacknowledged messages."""
        self._held[queue] = held
        self._polled_at = time.monotonic()

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Start the heartbeat thread."""
        self._thread.start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Delete the heartbeat, because the worker's messages are back in their queues."""
        self._stopped.set()
        self._thread.join(_SHUTDOWN_WAIT)

    def _run(self) -> None:
        logged = False
        while not self._stopped.wait(_TICK):
            try:
                if time.monotonic() - self._polled_at < _POLL_TIMEOUT:
                    self._beat()
                logged = False
            except redis.RedisError as error:
                if not logged:
                    log.warning("heartbeat not written", reason=f"{type(error).__name__}: {error}")
                logged = True
        with suppress(redis.RedisError):  # the entry is removed after ``_FORGET``
            self._client.zrem(keys.HEARTBEATS, self.name)
            self._client.hdel(keys.HELD, self.name)

    def _beat(self) -> None:
        now = time.time_ns() // 1_000_000
        old = self._client.zrangebyscore(keys.HEARTBEATS, "-inf", now - _FORGET)
        with self._client.pipeline(transaction=True) as pipe:
            pipe.zadd(keys.HEARTBEATS, {self.name: now})
            pipe.hset(keys.HELD, self.name, msgspec.json.encode(dict(self._held)).decode())
            if old:
                pipe.zrem(keys.HEARTBEATS, *old)
                pipe.hdel(keys.HELD, *old)
            pipe.execute()
        self._notes.note(*{q_name(queue) for queue in [*self._held]})
