"""Entry point of a worker process: ``dramatiq pipeline.worker:setup_broker``."""

import multiprocessing
import os
import signal
import sys

import dramatiq
import structlog
from dramatiq import Broker
from dramatiq.middleware import CurrentMessage, Middleware

from pipeline.actors.bundle_job import Bundler
from pipeline.actors.bundle_writer import BundleWriter
from pipeline.actors.completion import Completion
from pipeline.actors.declare import declare_actors
from pipeline.actors.failure_recorder import FailureRecorder
from pipeline.actors.late_uploads import LateUploads
from pipeline.actors.one_step import OneStep
from pipeline.actors.render_chunk import ChunkRenderer
from pipeline.actors.retries import SafeRetries
from pipeline.actors.thread_shares import ThreadShares
from pipeline.backends import Backends
from pipeline.broker.factory import worker_name
from pipeline.maintenance.results import ResultRecorder
from pipeline.monitoring.logs import LogContext, configure_logging
from pipeline.monitoring.metrics import StepMetrics, VerificationMetrics
from pipeline.monitoring.metrics_server import expose_metrics, prepare_metrics
from pipeline.parent_death import terminate_with_parent
from pipeline.settings import Settings, SettingsError, unknown_variables
from pipeline.storage.metrics import S3Metrics
from pipeline.verification.verify import verify
from pipeline.webhooks.schedule import Callbacks
from pipeline.webhooks.secrets import WebhookSecrets
from pipeline.webhooks.sender import WebhookSender
from pipeline.webhooks.slots import Slots
from pipeline.webhooks.urls import callback_rules

log = structlog.get_logger(__name__)

#: Seconds to wait for Redis. A slow response is better than a second attempt.
_TIMEOUT = 30
#: Seconds to wait for S3, per attempt. All three attempts must end before a chunk's lease expires.
_S3_TIMEOUT = 10
_MAX_BACKOFF = 60_000  # milliseconds


class TerminateWithMaster(Middleware):
    """Terminates a worker process when Dramatiq's master dies without stopping the worker."""

    def after_process_boot(self, broker: Broker) -> None:
        """Have the kernel send SIGTERM when the master process dies."""
        master = multiprocessing.parent_process()
        if master is not None and master.pid is not None:
            terminate_with_parent(master.pid, signal.SIGTERM)


def setup_broker() -> None:
    """Configure the process from the environment, and set Dramatiq's broker."""
    try:
        settings = Settings.from_environment(os.environ)
        configure_logging(settings)
        prepare_metrics(settings)
        broker = build_worker(settings)
        expose_metrics(settings)
    except SettingsError as error:
        # Dramatiq replaces ``sys.stderr``, and may end before it has passed on what that received.
        print(f"qrmill worker: {error}", file=sys.__stderr__, flush=True)
        sys.exit(1)
    for sentence in unknown_variables(os.environ):
        log.warning("unknown setting", hint=sentence)
    dramatiq.set_broker(broker)


def build_worker(settings: Settings) -> Broker:
    """Return a broker with all middleware and actors, on the backends that ``settings`` names."""
    backends = Backends(settings, redis_timeout=_TIMEOUT, s3_timeout=_S3_TIMEOUT)
    broker, dispatcher, queues, _ = backends.broker
    broker.broker_id = worker_name()
    for middleware in (
        *_message_metrics(settings),
        SafeRetries(
            max_retries=settings.max_retries,
            min_backoff=settings.retry_backoff,
            max_backoff=_MAX_BACKOFF,
        ),
        FailureRecorder(backends.ledger, queues),
        CurrentMessage(),
        LogContext(),
        TerminateWithMaster(),
    ):
        broker.add_middleware(middleware)
    S3Metrics().watch(backends.storage.client)
    ledger, records, staging = backends.ledger, backends.records, backends.staging
    steps = StepMetrics()
    callbacks = Callbacks(backends.redis, dispatcher, queues)
    results = ResultRecorder(ledger, records, staging)
    late_uploads = LateUploads(ledger, records, results)
    writer = BundleWriter(records, part_bytes=settings.upload_part_bytes, job_ttl=settings.job_ttl)
    completion = Completion(ledger, results, callbacks)
    lease, deadline = settings.lease_ms, settings.deadline_ms
    bundler = Bundler(
        ledger,
        staging,
        writer,
        steps,
        completion=completion,
        late_uploads=late_uploads,
        lease=lease,
        deadline=deadline,
    )
    one_step = OneStep(
        ledger, writer, steps, completion=completion, late_uploads=late_uploads, lease=lease
    )
    renderer = ChunkRenderer(
        ledger,
        records,
        staging,
        steps,
        # Staged objects are for systems that read single images, so every chunk has them.
        one_step=one_step if settings.staging == "zip" else None,
        verify=verify if settings.verify == "on" else None,
        symbols=VerificationMetrics(),
        lease=lease,
        deadline=deadline,
        max_attempts=settings.max_attempts,
    )
    slots = Slots(1)
    broker.add_middleware(ThreadShares(broker, slots))
    webhooks = WebhookSender(
        callbacks,
        WebhookSecrets(backends.storage.bucket),
        records,
        slots,
        rules=callback_rules(settings),
        prefix=settings.api_prefix,
        lease=settings.lease_ms,
    )
    declare_actors(
        broker, dispatcher, ledger, renderer, bundler, callbacks=callbacks, webhooks=webhooks
    )
    return broker


def _message_metrics(settings: Settings) -> tuple[Middleware, ...]:
    if settings.metrics_port is None:
        return ()
    from pipeline.monitoring.message_metrics import MessageMetrics  # noqa: PLC0415 - the import creates a directory

    return (MessageMetrics(),)
