"""The sweep: it finds jobs with work left and nothing moving them, and moves them.

Any number may run: one of them holds the lease and sweeps, the others wait for it to run out.
"""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import redis
import structlog

from pipeline.broker.backlog import Backlog
from pipeline.broker.factory import connect_redis, open_broker
from pipeline.errors import (
    BrokerUnavailableError,
    NewerVersionError,
    StoreUnavailableError,
    UnavailableError,
)
from pipeline.ledger import keys
from pipeline.ledger.connection import translated
from pipeline.ledger.entries import Failure
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.scripts import Scripts
from pipeline.maintenance.reconcile import Comparison
from pipeline.maintenance.restore import make_recovery
from pipeline.maintenance.retention import Tidier
from pipeline.monitoring.metrics import SweepMetrics
from pipeline.settings import Settings
from pipeline.storage.bucket import Bucket
from pipeline.storage.clients import open_storage
from pipeline.storage.metrics import S3Metrics
from pipeline.storage.records import JobRecords
from pipeline.webhooks.schedule import Callbacks

log = structlog.get_logger(__name__)

_TICK = 1.0  # seconds between sweeps
_HOLD = 10_000  # milliseconds the lease of the one that sweeps lasts
_TIMEOUT = 10  # seconds to wait for Redis or S3
#: Seconds to wait for RabbitMQ, which the lease outlives.
_BROKER_TIMEOUT = 3
_COMPARE = 3600.0  # seconds between comparisons with what S3 holds
#: Seconds until the next one when another server answers: the one before may have taken jobs, from
#: those who were cut off with it, until it noticed that it is the master no more.
_COMPARE_AGAIN = 60.0
#: How much longer than usual a job may stand still while the queues are not empty: its messages
#: may be waiting there behind others.
_LONG = 10


class Sweep:
    """One sweep after another.

    Args:
        settings: lease, deadline and lifetime of jobs.
        client: decodes responses.
        records, staging_bucket: S3.
    """

    def __init__(
        self, settings: Settings, client: redis.Redis, records: JobRecords, staging_bucket: Bucket
    ) -> None:
        plain = connect_redis(settings, timeout=_TIMEOUT, decode=False)
        parts = open_broker(settings, client, plain, timeout=_BROKER_TIMEOUT)
        self._dispatcher = parts.dispatcher
        recovery = make_recovery(settings, client, records, self._dispatcher)
        self._settings = settings
        self._client = client
        self._ledger = Ledger(client)
        self._callbacks = Callbacks(client, self._dispatcher, parts.queues)
        self._backlog = Backlog(client, parts.queues, settings.max_backlog)
        self._run_script = Scripts(client).run
        self._name = uuid.uuid4().hex
        self._compare_at = float("-inf")
        self._swept_at = float("-inf")
        self._left: set[str] = set()
        #: The parts that did not answer in this sweep, and what they said; asked no more in it.
        self._away: dict[type[UnavailableError], UnavailableError] = {}
        self._late: list[str] = []
        #: Set when the process is to end: a comparison, which may take long, ends with its step.
        self.stopping = threading.Event()
        self.metrics = SweepMetrics()
        self._comparison = Comparison(
            settings,
            self._ledger,
            records,
            staging_bucket,
            recovery=recovery,
            metrics=self.metrics,
            left_if_newer=self._left_if_newer,
        )
        self._tidier = Tidier(
            settings,
            self._ledger,
            records,
            staging_bucket,
            metrics=self.metrics,
            hold_lease=self._hold_lease,
            left_if_newer=self._left_if_newer,
        )

    def once(self) -> bool:
        """Sweep if nobody else does; return whether this one did.

        Raises:
            UnavailableError: what can be done without that backend is done; without Redis, the next
                sweep goes on.
        """
        if not self._sweep():
            return False
        if StoreUnavailableError not in self._away and not self._compare_if_due():
            return False
        for error in self._away.values():
            raise error
        self.metrics.completed()
        return True

    def _sweep(self) -> bool:
        """Sweep, but for the comparison, if nobody else holds the lease."""
        if not self._hold_lease():
            return False
        self._away.clear()
        self._late.clear()
        queues_empty = self._queues_empty()
        for task_id in self._ledger.active_jobs():
            with self._left_if_newer(task_id):
                self._move(task_id, queues_empty=queues_empty)
        self._ask(BrokerUnavailableError, self._callbacks.nudge, self._settings.lease * 1000)
        self._ask(StoreUnavailableError, self._tidier.record_ends, self._late)
        self._ask(StoreUnavailableError, self._tidier.remove_old_jobs)
        self._swept_at = time.monotonic()
        return True

    def _ask(
        self, part: type[UnavailableError], step: Callable[..., object], *arguments: object
    ) -> bool:
        """Do what needs a part; False when that is away, or was before in this sweep.

        A part that hangs costs a sweep its time-out once, and not once a job.
        """
        if part in self._away:
            return False
        try:
            step(*arguments)
        except part as error:
            self._away[part] = error
            return False
        return True

    def _queues_empty(self) -> bool:
        try:
            return self._backlog.nothing_waits()
        except BrokerUnavailableError as error:
            self._away[BrokerUnavailableError] = error
            return False

    def _hold_lease(self) -> bool:
        return bool(self._run_script("hold_lease", [keys.SWEEP], self._name, _HOLD))

    def _compare_if_due(self) -> bool:
        """Compare S3 with the ledger if it is time; False when that was broken off."""
        server = self._server_to_compare()
        if server is not None or time.monotonic() >= self._compare_at:
            if not self._compare():
                return False
            self._compare_at = time.monotonic() + (_COMPARE_AGAIN if server else _COMPARE)
        if server is not None:
            self._note_compared(server)
        return True

    def _compare(self) -> bool:
        """Compare, and sweep all the while: with many jobs it takes minutes, and others wait.

        Each of these sweeps renews the lease. It may have run out within a step, as when S3 hangs,
        and been taken by another, who compares anew: then this comparison ends.
        """
        for _ in self._comparison.steps():
            if self.stopping.is_set():
                return False
            if time.monotonic() - self._swept_at < _TICK:
                continue
            if not self._sweep():
                log.warning("comparison with S3 broken off", reason="another sweep took the lease")
                return False
            if not self._away:
                self.metrics.completed()
        return True

    def _server_to_compare(self) -> str | None:
        """Return the run id of a server that was not compared with S3 yet; None if it was.

        It may have lost everything; or, started again or made the master in a failover, what it
        was told last: its file and its replicas are behind what it acknowledges.
        """
        with translated():
            run_id = str(self._client.info("server")["run_id"])
            return run_id if self._client.get(keys.ALIVE) != run_id else None

    def _note_compared(self, run_id: str) -> None:
        with translated():
            self._client.set(keys.ALIVE, run_id)

    def _move(self, task_id: str, *, queues_empty: bool) -> None:
        patience = self._settings.lease * 1000
        need, chunks = self._ledger.examine_job(
            task_id,
            patience,
            _LONG * patience,
            queues_empty=queues_empty,
            can_send=BrokerUnavailableError not in self._away,
        )
        if need == "late":
            self._fail_late(task_id)
        elif need == "bundle":
            if not self._ask(BrokerUnavailableError, self._dispatcher.send_bundle, task_id):
                return
        elif need == "chunks":
            if not self._ask(BrokerUnavailableError, self._dispatcher.send_chunks, task_id, chunks):
                return
        else:  # it moves, or has ended
            return
        self.metrics.count(need)
        log.warning("job moved", task_id=task_id, need=need, chunks=len(chunks))

    @contextmanager
    def _left_if_newer(self, task_id: str) -> Iterator[None]:
        """Leave a job of a newer version to the sweep of that release, and tell of it once."""
        try:
            yield
        except NewerVersionError as error:
            if task_id not in self._left:
                self._left.add(task_id)
                log.warning("left to a newer release", task_id=task_id, reason=str(error))

    def _fail_late(self, task_id: str) -> None:
        seconds = self._settings.job_deadline
        failure = Failure("deadline", f"It did not end within {seconds} seconds.", closed=True)
        if self._ledger.fail_job(task_id, failure) == failure.code:
            self._late.append(task_id)


def open_sweep(settings: Settings) -> Sweep:
    """Return the sweep over what ``settings`` names."""
    client = connect_redis(settings, timeout=_TIMEOUT, decode=True)
    storage = open_storage(settings, read_timeout=_TIMEOUT)
    S3Metrics().watch(storage.client)
    return Sweep(settings, client, JobRecords(storage.bucket), storage.staging_bucket)


def sweep_until(stop: threading.Event, once: Callable[[], object]) -> None:
    """Call ``once`` every second until ``stop`` is set; a part that is away is told, once."""
    told = False
    while not stop.wait(_TICK):
        try:
            once()
            told = False
        except UnavailableError as error:
            if not told:
                log.warning("sweep waits", reason=f"{type(error).__name__}: {error}")
            told = True
