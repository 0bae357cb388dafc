"""Workers' signs of life, and how many messages each holds.

Dramatiq's Redis broker keeps heartbeats in Redis. With RabbitMQ nobody does, so a worker says there
once a second that its consumers are at it, under the same key; and as AMQP tells only of messages
that nobody has fetched, it says with it how many it has fetched and not yet acknowledged.
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
from dramatiq.middleware import Middleware

from pipeline.ledger import keys
from pipeline.ledger.connection import translated

log = structlog.get_logger(__name__)

#: What the broker ids of workers begin with; the API's heartbeats are not a worker's.
WORKER = "worker"
_TICK = 1.0  # seconds between signs of life
_LAST_WORD = 2.0  # seconds that a worker that ends waits for its last word
#: Seconds without a look of any consumer after which a worker says nothing more. Each looks once a
#: second, and waits up to 3 s before it connects again.
_AT_WORK = 5.0
_FORGET = 3_600_000  # milliseconds after which a silent worker is no longer shown


def parse_worker_name(name: str) -> tuple[str, int] | None:
    """Return host and process id of a worker; None when the name is not a worker's."""
    kind, _, rest = name.partition(":")
    host, _, pid = rest.rpartition(":")[0].rpartition(":")
    return (host, int(pid)) if kind == WORKER and pid.isdecimal() else None


class Heartbeat(NamedTuple):
    """A worker process, and how long it has been silent, in milliseconds."""

    host: str
    pid: int
    age_ms: int
    alive: bool


class Heartbeats:
    """Reads them.

    Args:
        client: decodes responses.
        timeout_ms: silence after which a worker counts as dead.
    """

    def __init__(self, client: redis.Redis, timeout_ms: int) -> None:
        self._client = client
        self._patience = timeout_ms

    def workers(self) -> list[Heartbeat]:
        """Return the workers that have been heard of, by host.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        return sorted(self._read().values())

    def alive(self) -> int:
        """Return how many worker processes have shown a sign of life in time.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        return sum(worker.alive for worker in self._read().values())

    def held(self) -> Counter[str]:
        """Return how many messages of each queue live workers on RabbitMQ have fetched.

        Those of one that died are back in their queues as soon as its connection is lost.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        with translated():
            told = cast("dict[str, str]", self._client.hgetall(keys.HELD))
        found: Counter[str] = Counter()
        for name, worker in self._read().items() if told else ():
            if worker.alive and name in told:
                found.update(msgspec.json.decode(told[name], type=dict[str, int]))
        return found

    def _read(self) -> dict[str, Heartbeat]:
        with translated():
            beats = cast(
                "list[tuple[str, float]]",
                self._client.zrange(keys.HEARTBEATS, 0, -1, withscores=True),
            )
        # They carry the time of the machines that send them, not Redis's.
        now = time.time_ns() // 1_000_000
        found = {}
        for name, heard in beats:
            worker = parse_worker_name(name)
            if worker is not None:
                silent = max(0, now - int(heard))
                found[name] = Heartbeat(*worker, silent, silent < self._patience)
        return found


class HeartbeatMiddleware(Middleware):
    """Lets a worker on RabbitMQ show signs of life.

    Args:
        client: of either kind.

    Attributes:
        name: of the worker; none for a process that is no worker.
    """

    name = ""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._held: dict[str, int] = {}
        self._looked_at = float("-inf")
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def note_poll(self, queue: str, held: int) -> None:
        """Note that a queue's consumer looks for messages, of which it holds ``held``."""
        self._held[queue] = held
        self._looked_at = time.monotonic()

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Begin."""
        self._thread.start()

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        """Take back what was said: its messages are in their queues again."""
        self._stopped.set()
        self._thread.join(_LAST_WORD)

    def _run(self) -> None:
        told = False
        while not self._stopped.wait(_TICK):
            try:
                if time.monotonic() - self._looked_at < _AT_WORK:
                    self._beat()
                told = False
            except redis.RedisError as error:
                if not told:
                    log.warning("heartbeat not written", reason=f"{type(error).__name__}: {error}")
                told = True
        with suppress(redis.RedisError):  # it is forgotten after a while
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
