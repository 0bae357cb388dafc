"""The sweep: it finds jobs with work left and nothing moving them, and moves them.

Any number may run: one of them holds the lease and sweeps, the others wait for it to run out.
"""

import threading
import time
from collections.abc import Callable

import redis
import structlog

from pipeline.backends import Backends
from pipeline.broker.backlog import Backlog
from pipeline.broker.dispatcher import Dispatcher
from pipeline.errors import BrokerUnavailableError, StoreUnavailableError, UnavailableError
from pipeline.ledger import keys
from pipeline.ledger.connection import translated
from pipeline.ledger.idempotency import IdempotencyKeys
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.deadlines import fail_late_job
from pipeline.maintenance.lease import SweepLease
from pipeline.maintenance.newer_versions import NewerVersions
from pipeline.maintenance.reconcile_with_s3 import PERIOD, PERIOD_AFTER_FAILOVER, Reconciler
from pipeline.maintenance.restore_job import Recovery
from pipeline.maintenance.results import ResultRecorder
from pipeline.maintenance.retention import Retention
from pipeline.monitoring.metrics import SweepMetrics
from pipeline.settings import Settings
from pipeline.storage.metrics import S3Metrics
from pipeline.webhooks.schedule import Callbacks

log = structlog.get_logger(__name__)

_TICK = 1.0  # seconds between sweeps
_TIMEOUT = 10  # seconds to wait for Redis or S3
#: Seconds to wait for RabbitMQ, less than the sweep's lease.
_BROKER_TIMEOUT = 3
#: How much longer than usual a job may stand still while the queues are not empty: its messages
#: may be waiting there behind others.
_LONG = 10


class Sweep:
    """One sweep after another.

    Args:
        settings: lease and deadline of jobs.
        client: decodes responses.
        ledger: knows the jobs in flight.
        dispatcher: sends what they need.
        backlog: says whether messages wait.
        callbacks: of jobs that have ended.
        lease: which one sweep process holds.
        newer: leaves jobs of a newer release alone.
        retention: the housekeeping after jobs have ended.
        reconciler: compares S3 with the ledger.
        metrics: counts what was done.

    Attributes:
        metrics: what was done, for Prometheus.
        stopping: set when the process is to end: a reconciliation, which may take long, ends with
            its step.
    """

    def __init__(
        self,
        settings: Settings,
        client: redis.Redis,
        ledger: Ledger,
        dispatcher: Dispatcher,
        *,
        backlog: Backlog,
        callbacks: Callbacks,
        lease: SweepLease,
        newer: NewerVersions,
        retention: Retention,
        reconciler: Reconciler,
        metrics: SweepMetrics,
    ) -> None:
        self.stopping = threading.Event()
        self._settings = settings
        self._client = client
        self._ledger = ledger
        self._dispatcher = dispatcher
        self._backlog = backlog
        self._callbacks = callbacks
        self._lease = lease
        self._newer = newer
        self._retention = retention
        self._reconciler = reconciler
        self.metrics = metrics
        self._reconcile_at = float("-inf")
        self._swept_at = float("-inf")
        #: The backends that did not answer in this sweep, and what they said; asked no more in it.
        self._away: dict[type[UnavailableError], UnavailableError] = {}
        self._late: list[str] = []

    def once(self) -> bool:
        """Sweep if nobody else does; return whether this one did.

        Raises:
            UnavailableError: what can be done without that backend is done; without Redis, the next
                sweep goes on.
        """
        if not self._sweep():
            return False
        if StoreUnavailableError not in self._away and not self._reconcile_if_due():
            return False
        for error in self._away.values():
            raise error
        self.metrics.completed()
        return True

    def _sweep(self) -> bool:
        """Sweep, but for the comparison, if nobody else holds the lease."""
        if not self._lease.hold():
            return False
        self._away.clear()
        self._late.clear()
        queues_empty = self._queues_empty()
        for task_id in self._ledger.active_jobs():
            with self._newer.left(task_id):
                self._rescue(task_id, queues_empty=queues_empty)
        self._ask(BrokerUnavailableError, self._callbacks.enqueue_due, self._settings.lease_ms)
        self._ask(StoreUnavailableError, self._retention.record_ends, self._late)
        self._ask(StoreUnavailableError, self._retention.remove_expired_jobs)
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

    def _reconcile_if_due(self) -> bool:
        """Compare S3 with the ledger if it is time; False when that was broken off."""
        server = self._server_to_reconcile()
        if server is not None or time.monotonic() >= self._reconcile_at:
            if not self._reconcile():
                return False
            self._reconcile_at = time.monotonic() + (PERIOD_AFTER_FAILOVER if server else PERIOD)
        if server is not None:
            self._note_reconciled(server)
        return True

    def _reconcile(self) -> bool:
        """Compare, and sweep all the while: with many jobs it takes minutes, and others wait.

        Each of these sweeps renews the lease. It may have run out within a step, as when S3 hangs,
        and been taken by another, who compares anew: then this comparison ends.
        """
        for _ in self._reconciler.steps():
            if self.stopping.is_set():
                return False
            if time.monotonic() - self._swept_at < _TICK:
                continue
            if not self._sweep():
                log.warning("reconciliation with S3 aborted", reason="another sweep took the lease")
                return False
            if not self._away:
                self.metrics.completed()
        return True

    def _server_to_reconcile(self) -> str | None:
        """Return the run id of a server that was not compared with S3 yet; None if it was.

        It may have lost everything; or, started again or made the master in a failover, what it
        was told last: its file and its replicas are behind what it acknowledges.
        """
        with translated():
            run_id = str(self._client.info("server")["run_id"])
            return run_id if self._client.get(keys.ALIVE) != run_id else None

    def _note_reconciled(self, run_id: str) -> None:
        with translated():
            self._client.set(keys.ALIVE, run_id)

    def _rescue(self, task_id: str, *, queues_empty: bool) -> None:
        patience = self._settings.lease_ms
        action, chunks = self._ledger.diagnose_job(
            task_id,
            patience,
            _LONG * patience,
            queues_empty=queues_empty,
            can_send=BrokerUnavailableError not in self._away,
        )
        if action == "late":
            if fail_late_job(self._ledger, task_id, self._settings.job_deadline):
                self._late.append(task_id)
        elif action == "bundle":
            if not self._ask(BrokerUnavailableError, self._dispatcher.send_bundle, task_id):
                return
        elif action == "chunks":
            if not self._ask(BrokerUnavailableError, self._dispatcher.send_chunks, task_id, chunks):
                return
        else:  # it moves, or has ended
            return
        self.metrics.count(action)
        log.warning("job rescued", task_id=task_id, need=action, chunks=len(chunks))


def open_sweep(settings: Settings) -> Sweep:
    """Return the sweep over what ``settings`` names."""
    backends = Backends(
        settings, redis_timeout=_TIMEOUT, s3_timeout=_TIMEOUT, broker_timeout=_BROKER_TIMEOUT
    )
    client, ledger, records, staging = (
        backends.redis,
        backends.ledger,
        backends.records,
        backends.staging,
    )
    _, dispatcher, queues, _ = backends.broker
    S3Metrics().watch(backends.storage.client)
    lease, newer, metrics = SweepLease(client), NewerVersions(), SweepMetrics()
    recovery = Recovery(
        ledger,
        records,
        dispatcher,
        idempotency=IdempotencyKeys(client),
        deadline=settings.deadline_ms,
    )
    return Sweep(
        settings,
        client,
        ledger,
        dispatcher,
        backlog=Backlog(client, queues, settings.max_backlog),
        callbacks=Callbacks(client, dispatcher, queues),
        lease=lease,
        newer=newer,
        retention=Retention(
            settings,
            ledger,
            records,
            staging,
            results=ResultRecorder(ledger, records, staging),
            lease=lease,
            newer=newer,
            metrics=metrics,
        ),
        reconciler=Reconciler(
            settings,
            ledger,
            records,
            staging,
            staging_bucket=backends.storage.staging_bucket,
            recovery=recovery,
            metrics=metrics,
            newer=newer,
        ),
        metrics=metrics,
    )


def sweep_until(stop: threading.Event, once: Callable[[], object]) -> None:
    """Call ``once`` every second until ``stop`` is set; a part that is away is told, once."""
    told = False
    while not stop.wait(_TICK):
        try:
            once()
            told = False
        except UnavailableError as error:
            if not told:
                log.warning("sweep degraded", reason=f"{type(error).__name__}: {error}")
            told = True
