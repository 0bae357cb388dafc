"""The seam between the API and the pipeline: what one can ask of the service.

The API imports this module and nothing else of the pipeline; the types it needs are here too.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec
import structlog
from dramatiq.brokers.redis import RedisBroker

from pipeline.auth.api_keys import ApiKey, ApiKeys, Role, UnknownApiKeyError
from pipeline.auth.rate_limits import RateLimits, Standing
from pipeline.auth.sessions import LIFETIME as SESSION_LIFETIME
from pipeline.auth.sessions import Sessions
from pipeline.auth.sign_in_limits import SignInLimit
from pipeline.backends import Backends
from pipeline.broker.backlog import Backlog, BacklogFullError
from pipeline.broker.dead_letters import DeadLetters, JobDeadLetter
from pipeline.broker.dispatcher import Dispatcher
from pipeline.broker.names import ALL_QUEUES
from pipeline.doctor.check import Finding, compare_clocks
from pipeline.doctor.run import check_up
from pipeline.errors import (
    BrokerUnavailableError,
    LedgerUnavailableError,
    ObjectMissingError,
    StoreUnavailableError,
    UnavailableError,
    UnreadableError,
)
from pipeline.ledger.idempotency import IdempotencyError, IdempotencyKeys, make_idempotency
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.listing import ChunkStatus, JobFilter, JobPage, Listing, Position
from pipeline.ledger.waiters import CompletionWaiters, WaitResult
from pipeline.maintenance.restore import Recovery
from pipeline.maintenance.results import ResultRecorder
from pipeline.model.failure_reasons import CANCELLED, Failure
from pipeline.model.jobs import EncodedItems, Item, JobRequest, JobStatus, parse_task_id, poll_url
from pipeline.model.records import Bundle, Idempotency
from pipeline.model.states import TERMINAL
from pipeline.monitoring.health import Health
from pipeline.monitoring.ledger_metrics import LedgerCollector
from pipeline.monitoring.logs import configure_logging
from pipeline.monitoring.metrics_server import expose_metrics, prepare_metrics
from pipeline.monitoring.overview import Overview, OverviewReader
from pipeline.monitoring.preview import Preview, Sample
from pipeline.settings import Settings, SettingsError, unknown_variables
from pipeline.storage.clients import open_storage
from pipeline.storage.download_urls import DownloadUrls
from pipeline.storage.metrics import S3Metrics
from pipeline.storage.records import JobRecords
from pipeline.submission import Submission, UncertainAcceptanceError
from pipeline.webhooks.events import CallbackEvent
from pipeline.webhooks.schedule import Callbacks
from pipeline.webhooks.secrets import WebhookSecrets
from pipeline.webhooks.urls import CallbackRules, callback_rules, parse_callback_url

log = structlog.get_logger(__name__)

#: Seconds the API waits for Redis, and for each attempt at S3: a client is waiting too. With an S3
#: that hangs, a POST is refused after two attempts at writing and a fail-fast one at undoing: nine.
_REDIS_TIMEOUT = 2
_S3_TIMEOUT, _S3_ATTEMPTS = 3, 2
_FAIL_FAST_TIMEOUT = 2


class NotPossibleError(Exception):
    """The job's state forbids it; the message says why."""


class Jobs:
    """Accepted jobs, as an API key sees them.

    Every method raises:
        UnavailableError: try again later.

    Args:
        ledger, records: where jobs are.
        dispatcher: sends the messages of a re-run.
        recovery: brings back what Redis has lost.
        results: records how a job ended.
        listing: lists jobs and chunks.
        waiters: wakes polls that wait for a job's end.
        callbacks: of jobs that have ended.
        deadline: milliseconds that a job gets when it is run again.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: JobRecords,
        dispatcher: Dispatcher,
        *,
        recovery: Recovery,
        results: ResultRecorder,
        listing: Listing,
        waiters: CompletionWaiters,
        callbacks: Callbacks,
        deadline: int,
    ) -> None:
        self._ledger = ledger
        self._records = records
        self._dispatcher = dispatcher
        self._recovery = recovery
        self._results = results
        self._listing = listing
        self._waiters = waiters
        self._callbacks = callbacks
        self._deadline = deadline

    def status(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Return what is known of a job; None when there is none that ``key`` may see.

        A job that Redis has lost is restored from S3 by this.

        Raises:
            UnreadableError: Redis has lost it, and what S3 has of it is damaged.
        """
        found = self._ledger.status(task_id)
        if found is None and self._restore(task_id, key):
            found = self._ledger.status(task_id)
        if found is None or (found.key_id != key.key_id and key.role != "operator"):
            return None
        return found

    def _restore(self, task_id: str, key: ApiKey) -> bool:
        try:
            return self._recovery.restore(task_id)
        except UnreadableError as error:
            if error.key_id not in {None, key.key_id} and key.role != "operator":
                return False
            raise

    def wait(self, task_id: str, key: ApiKey, seconds: float) -> WaitResult:
        """Return :meth:`status` as soon as the job has ended, or after ``seconds``.

        Only so many may wait at once in a process; over that, this returns at once.
        """
        return self._waiters.wait(task_id, seconds, lambda: self.status(task_id, key))

    def stop_waiting(self) -> None:
        """Let all that wait return. It only sets flags, so a signal handler may call it."""
        self._waiters.close()

    def list(self, wanted: JobFilter, key: ApiKey, limit: int, after: Position | None) -> JobPage:
        """Return a page of jobs: a client's own, or an operator's choice of all."""
        if key.role != "operator":
            wanted = msgspec.structs.replace(wanted, key_id=key.key_id)
        return self._listing.jobs(wanted, limit, after)

    def chunks(
        self, task_id: str, key: ApiKey, first: int, limit: int
    ) -> Sequence[ChunkStatus] | None:
        """Return a page of a job's chunks from index ``first`` on; None when it may not be seen."""
        found = self.status(task_id, key)
        return None if found is None else self._listing.chunks(found, first, limit)

    def retry(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Render again what is not staged of a failed job; None when there is none to be seen.

        Raises:
            NotPossibleError: it has not failed, or is being removed.
        """
        found = self.status(task_id, key)
        if found is None:
            return None
        chunks = None
        if found.state == "failed":
            self._records.delete_end(task_id)
            chunks = self._ledger.retry_job(task_id, self._deadline)
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
        """
        found = self.status(task_id, key)
        if found is None:
            return None
        failure = Failure(CANCELLED, "It was cancelled by request.", final=True)
        result = self._ledger.fail_job(task_id, failure)
        if result is None or result.error_code != failure.code:
            raise NotPossibleError("The task has ended already; there is nothing to cancel.")
        self._results.write(task_id, result)
        if found.callback_url:
            self._callbacks.enqueue(task_id)
        log.info("job cancelled", task_id=task_id)
        return self._ledger.status(task_id)


class Service(NamedTuple):
    """What the API stands on.

    Attributes:
        jobs: accepted jobs.
        submission: accepts requests.
        api_keys, webhook_secrets: of clients and operators.
        rate_limits: of API keys.
        sessions, sign_in_limits: of the console.
        downloads: signs download URLs.
        dead_letters, overview, preview: what the console shows.
        health: of Redis, S3 and the broker.
        broker: for Dramatiq's own dashboard, which works on it; None when it is not Redis.
        expose_metrics: answers Prometheus from this process, if the settings name a port; to be
            called once.
    """

    jobs: Jobs
    submission: Submission
    api_keys: ApiKeys
    webhook_secrets: WebhookSecrets
    rate_limits: RateLimits
    sessions: Sessions
    sign_in_limits: SignInLimit
    downloads: DownloadUrls
    dead_letters: DeadLetters
    overview: OverviewReader
    preview: Preview
    health: Health
    broker: RedisBroker | None
    expose_metrics: Callable[[], None]


def open_service(settings: Settings) -> Service:
    """Return the service that ``settings`` names; connections are made when first used."""
    backends = Backends(
        settings,
        redis_timeout=_REDIS_TIMEOUT,
        s3_timeout=_S3_TIMEOUT,
        s3_attempts=_S3_ATTEMPTS,
    )
    text, ledger, records = backends.redis, backends.ledger, backends.records
    storage = backends.storage
    fail_fast = open_storage(settings, read_timeout=_FAIL_FAST_TIMEOUT, attempts=1, sharing=storage)
    broker, dispatcher, queues, heartbeats = backends.broker
    recovery = Recovery(
        ledger,
        records,
        dispatcher,
        idempotency=IdempotencyKeys(text),
        deadline=settings.deadline_ms,
    )
    collector = LedgerCollector(
        text,
        queues,
        heartbeats,
        max_backlog=settings.max_backlog,
        deadline=settings.job_deadline,
    )

    def expose() -> None:
        metrics = S3Metrics()
        for client in (storage.client, fail_fast.client):
            metrics.watch(client)
        expose_metrics(settings, collector)

    checks = {
        "redis": ledger.ping,
        "s3": fail_fast.bucket.check,
        "s3_staging": fail_fast.staging_bucket.check,
    }
    if settings.broker_url is not None:
        checks["rabbitmq"] = queues.ping
    return Service(
        jobs=Jobs(
            ledger,
            records,
            dispatcher,
            recovery=recovery,
            results=ResultRecorder(ledger, records, backends.staging),
            listing=Listing(text, ledger),
            waiters=CompletionWaiters(text, settings.long_polls),
            callbacks=Callbacks(text, dispatcher, queues),
            deadline=settings.deadline_ms,
        ),
        submission=Submission(
            ledger,
            records,
            dispatcher,
            IdempotencyKeys(text),
            Backlog(text, queues, settings.max_backlog),
            fail_fast_records=JobRecords(fail_fast.bucket),
            deadline=settings.deadline_ms,
        ),
        api_keys=ApiKeys(storage.bucket),
        webhook_secrets=WebhookSecrets(storage.bucket),
        rate_limits=RateLimits(text, settings.rate_per_minute, settings.rate_per_day),
        sessions=Sessions(text),
        sign_in_limits=SignInLimit(text),
        downloads=DownloadUrls(
            storage.public_bucket,
            storage.credentials,
            storage.clock_skew,
            ttl=settings.download_url_ttl,
        ),
        dead_letters=DeadLetters(queues, ledger),
        overview=OverviewReader(text, queues, heartbeats),
        preview=Preview(records),
        health=Health(checks),
        broker=broker if isinstance(broker, RedisBroker) else None,
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
    "DeadLetters",
    "DownloadUrls",
    "EncodedItems",
    "Finding",
    "Health",
    "Idempotency",
    "IdempotencyError",
    "Item",
    "JobDeadLetter",
    "JobFilter",
    "JobRequest",
    "JobStatus",
    "Jobs",
    "LedgerUnavailableError",
    "NotPossibleError",
    "ObjectMissingError",
    "Overview",
    "OverviewReader",
    "Position",
    "Preview",
    "RateLimits",
    "Role",
    "Sample",
    "Service",
    "Sessions",
    "Settings",
    "SettingsError",
    "SignInLimit",
    "Standing",
    "StoreUnavailableError",
    "Submission",
    "UnavailableError",
    "UncertainAcceptanceError",
    "UnknownApiKeyError",
    "UnreadableError",
    "WebhookSecrets",
    "callback_rules",
    "check_up",
    "compare_clocks",
    "configure_logging",
    "make_idempotency",
    "open_service",
    "parse_callback_url",
    "parse_task_id",
    "poll_url",
    "prepare_metrics",
    "unknown_variables",
]
