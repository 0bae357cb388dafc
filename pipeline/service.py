"""The interface between the API and the pipeline: all objects and types that the API uses.

The API imports this module and no other module of the pipeline, except for the names of the queues
in :mod:`pipeline.broker.names`. The pipeline's types that the API uses are exported here as well.
"""

from collections.abc import Callable
from typing import NamedTuple

from dramatiq.brokers.redis import RedisBroker

from pipeline.archive.member_names import UNSAFE_IN_NAME, default_name
from pipeline.auth.api_key import ApiKey, Role
from pipeline.auth.api_keys import ApiKeys
from pipeline.auth.errors import (
    KeyExistsError,
    KeyRevokedError,
    UnknownApiKeyError,
    UnknownTenantError,
)
from pipeline.auth.item_limits import ItemLimitError, ItemLimits
from pipeline.auth.rate_limits import RateLimits, Standing, Window
from pipeline.auth.sessions import LIFETIME as SESSION_LIFETIME
from pipeline.auth.sessions import SessionKind, Sessions
from pipeline.auth.sign_in_limits import SignInLimit
from pipeline.auth.tokens import UnsafeTokenError, is_key_id
from pipeline.backends import Backends
from pipeline.broker.backlog import Backlog, BacklogFullError
from pipeline.broker.dead_letters import DeadLetters, JobDeadLetter
from pipeline.broker.names import ALL_QUEUES
from pipeline.doctor.check import Finding, compare_clocks
from pipeline.doctor.run import check_up
from pipeline.errors import (
    LedgerReadOnlyError,
    LedgerUnavailableError,
    ObjectMissingError,
    StoreUnavailableError,
    UnavailableError,
    UnreadableError,
)
from pipeline.jobs import Jobs, NotPossibleError
from pipeline.ledger.idempotency import IdempotencyError, IdempotencyKeys, make_idempotency
from pipeline.ledger.listing import ChunkStatus, JobFilter, Listing, Position
from pipeline.ledger.waiters import CompletionWaiters
from pipeline.maintenance.purge import Purger
from pipeline.maintenance.restore_job import Recovery
from pipeline.maintenance.results import ResultRecorder
from pipeline.model.jobs import (
    FIRST_FIELDS,
    EncodedItems,
    Item,
    ItemRow,
    JobRequest,
    JobStatus,
    item_row,
    parse_task_id,
    poll_url,
)
from pipeline.model.layout import Layout, render_options
from pipeline.model.records import Bundle, Idempotency, RequestWarning
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

#: Seconds that the API waits for Redis, and for each attempt at an S3 request. These timeouts are
#: short because a client is waiting. While S3 hangs, a POST gets its 503 after about nine seconds:
#: after two attempts to write the request object and one fail-fast attempt to delete the object.
_REDIS_TIMEOUT = 2
_S3_TIMEOUT, _S3_ATTEMPTS = 3, 2
_FAIL_FAST_TIMEOUT = 2


class Service(NamedTuple):
    """The objects that the API uses.

    Attributes:
        jobs: accepted jobs.
        submission: accepts requests.
        api_keys, webhook_secrets: credentials of clients and operators.
        rate_limits: request counters per API key.
        item_limits: limits on the items of each API key.
        sessions, sign_in_limits: sessions of console and portal, and the limit on sign-in attempts.
        downloads: signs download URLs.
        dead_letters, overview, preview: the data of the console's pages.
        health: health checks of Redis, S3 and the broker.
        broker: the broker that Dramatiq's own dashboard reads; None if the broker is RabbitMQ.
        expose_metrics: starts the metrics server of this process if the settings name a port; must
            be called once.
    """

    jobs: Jobs
    submission: Submission
    api_keys: ApiKeys
    webhook_secrets: WebhookSecrets
    rate_limits: RateLimits
    item_limits: ItemLimits
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
    """Return the service for ``settings``; connections are opened at their first use."""
    backends = Backends(
        settings,
        redis_timeout=_REDIS_TIMEOUT,
        s3_timeout=_S3_TIMEOUT,
        s3_attempts=_S3_ATTEMPTS,
    )
    text, ledger, records = backends.redis, backends.ledger, backends.records
    storage = backends.storage
    fail_fast = open_storage(settings, read_timeout=_FAIL_FAST_TIMEOUT, attempts=1, sharing=storage)
    fail_fast_records = JobRecords(fail_fast.bucket)
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

    backlog = Backlog(text, queues, settings.max_backlog)
    item_limits = ItemLimits(text, settings.items_per_minute, settings.items_per_day)
    checks = {
        "redis": ledger.check,
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
            backlog,
            item_limits=item_limits,
            recovery=recovery,
            results=ResultRecorder(ledger, fail_fast_records, backends.staging),
            listing=Listing(text, ledger),
            waiters=CompletionWaiters(text, settings.long_polls),
            callbacks=Callbacks(text, dispatcher, queues),
            purger=Purger(settings, ledger, records, backends.staging),
            deadline=settings.deadline_ms,
        ),
        submission=Submission(
            ledger,
            records,
            dispatcher,
            IdempotencyKeys(text),
            backlog,
            item_limits=item_limits,
            fail_fast_records=fail_fast_records,
            deadline=settings.deadline_ms,
        ),
        api_keys=ApiKeys(storage.bucket),
        webhook_secrets=WebhookSecrets(storage.bucket),
        item_limits=item_limits,
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
    "FIRST_FIELDS",
    "SESSION_LIFETIME",
    "TERMINAL",
    "UNSAFE_IN_NAME",
    "ApiKey",
    "ApiKeys",
    "BacklogFullError",
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
    "ItemLimitError",
    "ItemLimits",
    "ItemRow",
    "JobDeadLetter",
    "JobFilter",
    "JobRequest",
    "JobStatus",
    "Jobs",
    "KeyExistsError",
    "KeyRevokedError",
    "Layout",
    "LedgerReadOnlyError",
    "LedgerUnavailableError",
    "NotPossibleError",
    "ObjectMissingError",
    "Overview",
    "OverviewReader",
    "Position",
    "Preview",
    "RateLimits",
    "RequestWarning",
    "Role",
    "Sample",
    "Service",
    "SessionKind",
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
    "UnknownTenantError",
    "UnreadableError",
    "UnsafeTokenError",
    "WebhookSecrets",
    "Window",
    "callback_rules",
    "check_up",
    "compare_clocks",
    "configure_logging",
    "default_name",
    "is_key_id",
    "item_row",
    "make_idempotency",
    "open_service",
    "parse_callback_url",
    "parse_task_id",
    "poll_url",
    "prepare_metrics",
    "render_options",
    "unknown_variables",
]
