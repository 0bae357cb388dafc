"""Sweep: enqueues the missing work of stalled jobs, and runs all other maintenance.

Any number of sweep processes may run. One process holds the lease and sweeps; the others wait for
the lease to expire.
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
from pipeline.ledger.lease_renewal import renewing
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.deadlines import fail_late_job
from pipeline.maintenance.lease import LEASE, SweepLease
from pipeline.maintenance.newer_versions import NewerVersions
from pipeline.maintenance.purge import Purger
from pipeline.maintenance.reconcile_with_s3 import PERIOD, PERIOD_AFTER_FAILOVER, Reconciler
from pipeline.maintenance.restore_job import Recovery
from pipeline.maintenance.results import ResultRecorder
from pipeline.maintenance.retention import Retention
from pipeline.monitoring.metrics import SweepMetrics
from pipeline.settings import Settings
from pipeline.storage.metrics import S3Metrics
from pipeline.webhooks.schedule import Callbacks

log = structlog.get_logger(__name__)

_TICK = 1.0  # seconds between sweep passes
_TIMEOUT = 10  # seconds to wait for Redis or S3
#: Milliseconds after which a step that does not end loses the lease to another process. Of many
#: steps none takes nearly as long, even if S3 is slow.
_HANGS = 10 * 60_000
#: Seconds to wait for RabbitMQ; less than the sweep's lease lasts.
_BROKER_TIMEOUT = 3
#: Factor by which a job may stall longer while the queues are not empty, because its messages may
#: be waiting behind others.
_LONG = 10


class Sweep:
    """Runs sweep passes.

    Args:
        settings: lease and deadline of jobs.
        client: Redis client that decodes responses.
        ledger: ledger with the jobs in flight.
        dispatcher: enqueues missing work.
        backlog: reports whether messages wait.
        callbacks: enqueues due webhooks.
        lease: lease that one sweep process holds.
        newer: skips jobs of a newer release.
        retention: housekeeping after jobs have ended.
        purger: completes purges.
        reconciler: compares S3 with the ledger.
        metrics: counts what the sweep does.

    Attributes:
        metrics: the sweep's metrics for Prometheus.
        stopping: event that is set when the process should end. A reconciliation, which may take
            long, then ends after its current step.
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
        purger: Purger,
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
        self._purger = purger
        self._reconciler = reconciler
        self.metrics = metrics
        self._reconcile_at = float("-inf")
        self._swept_at = float("-inf")
        #: Backends that failed in this pass, with their errors; this pass does not use them again.
        self._unavailable: dict[type[UnavailableError], UnavailableError] = {}
        self._late: list[str] = []

    def once(self) -> bool:
        """Run one sweep pass, with a reconciliation if one is due.

        Returns:
            False if another process holds the lease, or if the reconciliation was aborted.

        Raises:
            UnavailableError: a backend is unavailable. Unless that backend is Redis, all steps that
                do not need it have been completed.
        """
        if not self._lease.hold():
            return False
        with renewing(self._lease.hold, lease=LEASE, limit=_HANGS) as progress:
            return self._sweep_and_reconcile(progress)

    def _sweep_and_reconcile(self, progress: Callable[[], None]) -> bool:
        if not self._sweep():
            return False
        if StoreUnavailableError not in self._unavailable and not self._reconcile_if_due(progress):
            return False
        for error in self._unavailable.values():
            raise error
        self.metrics.completed()
        return True

    def _sweep(self) -> bool:
        """Run a sweep pass without reconciliation; return False without the lease."""
        if not self._lease.hold():
            return False
        self._unavailable.clear()
        self._late.clear()
        queues_empty = self._queues_empty()
        for task_id in self._ledger.active_jobs():
            if not self._lease.held:
                return False
            with self._newer.left(task_id):
                self._rescue(task_id, queues_empty=queues_empty)
        self._try(BrokerUnavailableError, self._callbacks.enqueue_due, self._settings.lease_ms)
        self._try(StoreUnavailableError, self._retention.record_ends, self._late)
        self._try(StoreUnavailableError, self._retention.remove_expired_jobs)
        self._try(StoreUnavailableError, self._finish_purges)
        self._swept_at = time.monotonic()
        return True

    def _finish_purges(self) -> None:
        for task_id in self._purger.take_due():
            if not self._lease.held:
                return
            with self._newer.left(task_id):
                self._purger.finish(task_id)

    def _try(
        self, unavailable: type[UnavailableError], step: Callable[..., object], *arguments: object
    ) -> bool:
        """Run a step that needs a backend; return False if the backend is unavailable.

        A backend that has failed in this pass is not tried again. A hanging backend therefore costs
        its timeout once per pass and not once per job.
        """
        if unavailable in self._unavailable:
            return False
        try:
            step(*arguments)
        except unavailable as error:
            self._unavailable[unavailable] = error
            return False
        return True

    def _queues_empty(self) -> bool:
        try:
            return self._backlog.nothing_waits()
        except BrokerUnavailableError as error:
            self._unavailable[BrokerUnavailableError] = error
            return False

    def _reconcile_if_due(self, progress: Callable[[], None]) -> bool:
        """Reconcile with S3 if a reconciliation is due; return False if it was aborted."""
        server = self._server_to_reconcile()
        if server is not None or time.monotonic() >= self._reconcile_at:
            if not self._reconcile(progress):
                return False
            self._reconcile_at = time.monotonic() + (PERIOD_AFTER_FAILOVER if server else PERIOD)
        if server is not None:
            self._note_reconciled(server)
        return True

    def _reconcile(self, progress: Callable[[], None]) -> bool:
        """Reconcile with S3, with sweep passes in between; return False if it was aborted.

        With many jobs a reconciliation takes minutes or hours, and stalled jobs must not wait that
        long. If the lease expires nevertheless, for example because this process was stopped for a
        while, another process may take the lease and start its own reconciliation. The
        reconciliation of this process then ends.
        """
        for _ in self._reconciler.steps():
            progress()
            if self.stopping.is_set():
                return False
            if time.monotonic() - self._swept_at < _TICK:
                continue
            if not self._sweep():
                log.warning("reconciliation with S3 aborted", reason="another sweep took the lease")
                return False
            if not self._unavailable:
                self.metrics.completed()
        return True

    def _server_to_reconcile(self) -> str | None:
        """Return the run id of the Redis server, or None if it has already been reconciled with S3.

        A server with a new run id may have lost all data. After a restart or a failover it may have
        lost the latest writes, because the append-only file and the replicas lag behind the
        acknowledged writes.
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
            can_send=BrokerUnavailableError not in self._unavailable,
        )
        if action == "late":
            if fail_late_job(self._ledger, task_id, self._settings.job_deadline):
                self._late.append(task_id)
        elif action == "bundle":
            tenant, send_bundle = self._ledger.owner(task_id), self._dispatcher.send_bundle
            if not self._try(BrokerUnavailableError, send_bundle, task_id, tenant):
                return
        elif action == "chunks":
            tenant = self._ledger.owner(task_id)
            send = self._dispatcher.send_chunks
            if not self._try(BrokerUnavailableError, send, task_id, chunks, tenant):
                return
        else:  # the job is in progress or has ended
            return
        self.metrics.count(action)
        log.warning("job rescued", task_id=task_id, need=action, chunks=len(chunks))


def open_sweep(settings: Settings) -> Sweep:
    """Return the sweep of the backends that ``settings`` names."""
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
    purger = Purger(settings, ledger, records, staging)
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
        purger=purger,
        reconciler=Reconciler(
            settings,
            ledger,
            records,
            staging,
            staging_bucket=backends.storage.staging_bucket,
            recovery=recovery,
            metrics=metrics,
            newer=newer,
            purger=purger,
        ),
        metrics=metrics,
    )


def sweep_until(stop: threading.Event, once: Callable[[], object]) -> None:
    """Call ``once`` every second until ``stop`` is set; log an unavailable backend once."""
    logged = False
    while not stop.wait(_TICK):
        try:
            once()
            logged = False
        except UnavailableError as error:
            if not logged:
                log.warning("sweep degraded", reason=f"{type(error).__name__}: {error}")
            logged = True
