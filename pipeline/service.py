"""The seam between the API and the pipeline: what one can ask of the service.

The API imports this module and nothing else of the pipeline; the types it needs are here too.
"""

from collections.abc import Callable
from contextlib import suppress

import msgspec
import structlog

from pipeline.auth.api_keys import ApiKey, ApiKeys, Role, UnknownApiKeyError
from pipeline.auth.rate_limits import Rates, Standing
from pipeline.auth.sessions import LIFETIME as SESSION_LIFETIME
from pipeline.broker.backlog import Backlog, BacklogFullError
from pipeline.broker.dead_letters import DeadLetter
from pipeline.broker.dispatcher import Dispatcher
from pipeline.broker.factory import connect_redis, open_broker
from pipeline.broker.names import ALL_QUEUES
from pipeline.doctor.check import Finding, compare_clocks
from pipeline.doctor.run import check_up
from pipeline.errors import (
    BrokerUnavailableError,
    LedgerUnavailableError,
    ObjectMissingError,
    StoreUnavailableError,
    UnreadableError,
)
from pipeline.ledger.entries import Failure
from pipeline.ledger.idempotency import IdempotencyError, IdempotencyKeys, make_idempotency
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.listing import ChunkStatus, JobFilter, JobPage, Listing, Position
from pipeline.ledger.waiters import Awaited, Endings
from pipeline.maintenance.restore import Recovery, make_recovery
from pipeline.maintenance.results import EndRecords
from pipeline.model.jobs import EncodedItems, Item, JobRequest, JobStatus, parse_task_id
from pipeline.model.records import Bundle, Idempotency
from pipeline.model.states import TERMINAL, State
from pipeline.monitoring.ledger_metrics import LedgerCollector
from pipeline.monitoring.logs import configure_logging
from pipeline.monitoring.metrics import AcceptedMetrics
from pipeline.monitoring.metrics_server import expose_metrics, prepare_metrics
from pipeline.monitoring.overview import Overview
from pipeline.monitoring.preview import Sample
from pipeline.operations import Operations, make_operations
from pipeline.settings import Settings, SettingsError, unknown_variables
from pipeline.storage.bucket import Bucket
from pipeline.storage.clients import open_storage
from pipeline.storage.download_urls import DownloadUrls
from pipeline.storage.metrics import S3Metrics
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import make_staging
from pipeline.submission import Accepted, Acceptor, HalfAcceptedError
from pipeline.webhooks.events import CallbackEvent
from pipeline.webhooks.schedule import Callbacks
from pipeline.webhooks.secrets import WebhookSecrets
from pipeline.webhooks.urls import CallbackRules, callback_rules, parse_callback_url

log = structlog.get_logger(__name__)

#: Seconds the API waits for Redis, and for each attempt at S3: a client is waiting too. With an S3
#: that hangs, a POST is refused after two attempts at writing and a hasty one at undoing: nine.
_REDIS_TIMEOUT = 2
_S3_TIMEOUT, _S3_ATTEMPTS = 3, 2
_FAIL_FAST_TIMEOUT = 2
#: Seconds for who asks whether all is ready: Compose's health check gives up after four.
_PROBE_PATIENCE = 3.0


class NotPossibleError(Exception):
    """The job's state forbids it; the message says why."""


class JobService:
    """Jobs, as the API sees them."""

    def __init__(
        self,
        settings: Settings,
        *,
        ledger: Ledger,
        bucket: Bucket,
        records: JobRecords,
        downloads: DownloadUrls,
        dispatcher: Dispatcher,
        recovery: Recovery,
        end_records: EndRecords,
        acceptor: Acceptor,
        listing: Listing,
        endings: Endings,
        rates: Rates,
        callbacks: Callbacks,
        operations: Operations,
        expose_metrics: Callable[[], None],
    ) -> None:
        self.api_keys = ApiKeys(bucket)
        self.webhook_secrets = WebhookSecrets(bucket)
        self.rates = rates
        self.endings = endings
        #: Answers Prometheus from this process, if the settings name a port; to be called once.
        self.expose_metrics = expose_metrics
        self.operations = operations
        self.downloads = downloads
        self._settings = settings
        self._ledger = ledger
        self._records = records
        self._dispatcher = dispatcher
        self._recovery = recovery
        self._end_records = end_records
        self._acceptor = acceptor
        self._listing = listing
        self._callbacks = callbacks
        self._accepted = AcceptedMetrics()

    def submit(
        self,
        request: JobRequest,
        key: ApiKey,
        idempotency: Idempotency | None = None,
        request_id: str = "",
    ) -> Accepted:
        """Accept a checked request; see :meth:`pipeline.submission.Acceptor.submit`."""
        accepted = self._acceptor.submit(request, key, idempotency, request_id)
        if not accepted.replayed:
            self._accepted.count(request.format, accepted.items)
        return accepted

    def status(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Return what is known of a job; None when there is none that ``key`` may see.

        A job that Redis has lost is brought back from S3 by this.

        Raises:
            LedgerUnavailableError, StoreUnavailableError: try again later.
            UnreadableError: Redis has lost it, and what S3 has of it is damaged.
        """
        found = self._ledger.status(task_id)
        if found is None and self._revive(task_id, key):
            found = self._ledger.status(task_id)
        if found is None or (found.key_id != key.key_id and key.role != "operator"):
            return None
        return found

    def _revive(self, task_id: str, key: ApiKey) -> bool:
        try:
            return self._recovery.revive(task_id)
        except UnreadableError as error:
            if error.key_id not in {None, key.key_id} and key.role != "operator":
                return False
            raise

    def await_end(self, task_id: str, key: ApiKey, seconds: float) -> Awaited:
        """Return :meth:`status` as soon as the job has ended, or after ``seconds``.

        Only so many may wait at once in a process; over that, the answer comes at once.
        """
        return self.endings.follow(task_id, seconds, lambda: self.status(task_id, key))

    def list_jobs(
        self, wanted: JobFilter, key: ApiKey, limit: int, after: Position | None
    ) -> JobPage:
        """Return a page of jobs: a client's own, or an operator's choice of all.

        Raises:
            LedgerUnavailableError: try again later.
        """
        if key.role != "operator":
            wanted = msgspec.structs.replace(wanted, key_id=key.key_id)
        return self._listing.jobs(wanted, limit, after)

    def list_chunks(
        self, task_id: str, key: ApiKey, first: int, limit: int
    ) -> list[ChunkStatus] | None:
        """Return a page of a job's chunks from index ``first`` on; None when it may not be seen.

        Raises:
            LedgerUnavailableError, StoreUnavailableError: try again later.
        """
        found = self.status(task_id, key)
        return None if found is None else self._listing.chunks(found, first, limit)

    def retry(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Render again what is not staged of a failed job; None when there is none to be seen.

        Raises:
            NotPossibleError: it has not failed, or is being removed.
            LedgerUnavailableError, StoreUnavailableError: try again later.
        """
        found = self.status(task_id, key)
        if found is None:
            return None
        chunks = None
        if found.state == "failed":
            self._records.delete_end(task_id)
            chunks = self._ledger.retry_job(task_id, self._settings.job_deadline * 1000)
        if chunks is None:
            raise NotPossibleError(
                "There is nothing to re-run: the task has not failed, or is being removed."
            )
        # Should this not get out, the sweep finds a job that nobody moves.
        with suppress(BrokerUnavailableError):
            if chunks:
                self._dispatcher.send_chunks(task_id, chunks)
            else:
                self._dispatcher.send_bundle(task_id)
        log.info("job opened again", task_id=task_id, chunks=len(chunks))
        return self._ledger.status(task_id)

    def cancel(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Cancel a job in flight; None when there is none to be seen. Twice is once.

        Raises:
            NotPossibleError: it has ended otherwise, before this came.
            LedgerUnavailableError, StoreUnavailableError: try again later.
        """
        if self.status(task_id, key) is None:
            return None
        failure = Failure("cancelled", "It was cancelled by request.", closed=True)
        if self._ledger.fail_job(task_id, failure) != failure.code:
            raise NotPossibleError("The task has ended already; there is nothing to cancel.")
        self._end_records.write(task_id)
        self._callbacks.announce(task_id)
        log.info("job cancelled", task_id=task_id)
        return self._ledger.status(task_id)

    def unready(self) -> list[str]:
        """Return the names of the parts that do not answer; none when the service is ready.

        All are asked at once, each at most once in two seconds; this takes three seconds at most.
        """
        parts = self.operations.health.look(_PROBE_PATIENCE)
        down = [part for part in parts if part.milliseconds is None]
        for part in down:
            log.warning("not ready", part=part.name, reason=part.reason)
        return [part.name for part in down]


def open_service(settings: Settings) -> JobService:
    """Return the service that ``settings`` names; connections are made when first used."""
    text = connect_redis(settings, timeout=_REDIS_TIMEOUT, decode=True)
    plain = connect_redis(settings, timeout=_REDIS_TIMEOUT, decode=False)
    storage = open_storage(settings, read_timeout=_S3_TIMEOUT, attempts=_S3_ATTEMPTS)
    hasty = open_storage(settings, read_timeout=_FAIL_FAST_TIMEOUT, attempts=1, sharing=storage)
    bucket, staging_bucket = storage.bucket, storage.staging_bucket
    records = JobRecords(bucket)
    parts = open_broker(settings, text, plain, timeout=_REDIS_TIMEOUT)
    ledger, dispatcher = Ledger(text), parts.dispatcher
    recovery = make_recovery(settings, text, records, dispatcher)
    collector = LedgerCollector(
        text,
        parts.queues,
        parts.heartbeats,
        max_backlog=settings.max_backlog,
        deadline=settings.job_deadline,
    )

    def expose() -> None:
        metrics = S3Metrics()
        for client in (storage.client, hasty.client):
            metrics.watch(client)
        expose_metrics(settings, collector)

    checks = {
        "redis": ledger.ping,
        "s3": hasty.bucket.check,
        "s3_staging": hasty.staging_bucket.check,
    }
    if settings.broker_url is not None:
        checks["rabbitmq"] = parts.queues.ping
    return JobService(
        settings,
        ledger=ledger,
        bucket=bucket,
        records=records,
        downloads=DownloadUrls(
            storage.public_bucket,
            storage.credentials,
            storage.clock_skew,
            ttl=settings.download_url_ttl,
        ),
        dispatcher=dispatcher,
        recovery=recovery,
        end_records=EndRecords(ledger, records, make_staging(settings.staging, staging_bucket)),
        acceptor=Acceptor(
            ledger,
            records,
            dispatcher,
            IdempotencyKeys(text),
            Backlog(text, parts.queues, settings.max_backlog),
            hasty_records=JobRecords(hasty.bucket),
            deadline=settings.job_deadline * 1000,
        ),
        listing=Listing(text, ledger),
        endings=Endings(text, settings.long_polls),
        callbacks=Callbacks(text, dispatcher, parts.queues),
        rates=Rates(text, settings.rate_per_minute, settings.rate_per_day),
        operations=make_operations(text, plain, parts, records=records, checks=checks),
        expose_metrics=expose,
    )


__all__ = [
    "ALL_QUEUES",
    "SESSION_LIFETIME",
    "TERMINAL",
    "ApiKey",
    "ApiKeys",
    "BacklogFullError",
    "BrokerUnavailableError",
    "Bundle",
    "CallbackEvent",
    "CallbackRules",
    "ChunkStatus",
    "DeadLetter",
    "EncodedItems",
    "Finding",
    "HalfAcceptedError",
    "Idempotency",
    "IdempotencyError",
    "Item",
    "JobFilter",
    "JobRequest",
    "JobService",
    "JobStatus",
    "LedgerUnavailableError",
    "NotPossibleError",
    "ObjectMissingError",
    "Overview",
    "Position",
    "Role",
    "Sample",
    "Settings",
    "SettingsError",
    "Standing",
    "State",
    "StoreUnavailableError",
    "UnknownApiKeyError",
    "UnreadableError",
    "callback_rules",
    "check_up",
    "compare_clocks",
    "configure_logging",
    "make_idempotency",
    "open_service",
    "parse_callback_url",
    "parse_task_id",
    "prepare_metrics",
    "unknown_variables",
]
