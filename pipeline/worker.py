"""A worker process's entry point: ``dramatiq pipeline.worker:setup_broker``."""

import ctypes
import multiprocessing
import os
import signal
import sys

import dramatiq
import structlog
from dramatiq import Broker
from dramatiq.middleware import CurrentMessage, Middleware

from pipeline.actors.bundle_job import Bundler
from pipeline.actors.declare import declare_actors
from pipeline.actors.failures import RecordFailures
from pipeline.actors.render_chunk import ChunkRenderer
from pipeline.actors.retries import CarefulRetries
from pipeline.broker.factory import connect_redis, open_broker, worker_name
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.results import EndRecords
from pipeline.monitoring.logs import LogContext, configure_logging
from pipeline.monitoring.metrics import StepMetrics
from pipeline.monitoring.metrics_server import expose_metrics, prepare_metrics
from pipeline.settings import Settings, SettingsError, unknown_variables
from pipeline.storage.clients import open_storage
from pipeline.storage.metrics import S3Metrics
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import make_staging
from pipeline.webhooks.schedule import Callbacks
from pipeline.webhooks.secrets import WebhookSecrets
from pipeline.webhooks.sender import Webhooks
from pipeline.webhooks.urls import callback_rules

log = structlog.get_logger(__name__)

#: Seconds a worker waits for Redis: a slow answer is better than a second try. And for S3, where
#: three tries have to end before the chunk's lease does.
_TIMEOUT = 30
_S3_TIMEOUT = 10
_MAX_BACKOFF = 60_000  # milliseconds


class EndWithMaster(Middleware):
    """Ends a worker process when Dramatiq's master process dies without saying so."""

    def after_process_boot(self, broker: Broker) -> None:
        """Ask the kernel for the signal."""
        master = multiprocessing.parent_process()
        if master is not None and master.pid is not None:
            end_with_parent(master.pid, signal.SIGTERM)


def setup_broker() -> None:
    """Read the settings, connect, declare the actors and make the broker Dramatiq's own."""
    try:
        settings = Settings.from_environment(os.environ)
        configure_logging(settings)
        prepare_metrics(settings)
        broker = build_worker(settings)
        expose_metrics(settings)
    except SettingsError as error:
        sys.exit(f"qrmill worker: {error}")
    for sentence in unknown_variables(os.environ):
        log.warning("unknown setting", hint=sentence)
    dramatiq.set_broker(broker)


def build_worker(settings: Settings) -> Broker:
    """Return a broker with actors on it that work on what ``settings`` names."""
    client = connect_redis(settings, timeout=_TIMEOUT, decode=True)
    ledger = Ledger(client)
    storage = open_storage(settings, read_timeout=_S3_TIMEOUT)
    S3Metrics().watch(storage.client)
    steps = StepMetrics()
    records = JobRecords(storage.bucket)
    staging = make_staging(settings.staging, storage.staging_bucket)
    retries = CarefulRetries(
        max_retries=settings.max_retries,
        min_backoff=settings.retry_backoff,
        max_backoff=_MAX_BACKOFF,
    )
    plain = connect_redis(settings, timeout=_TIMEOUT, decode=False)
    broker, dispatcher, queues, _ = open_broker(settings, client, plain, timeout=_TIMEOUT)
    broker.broker_id = worker_name()
    for middleware in (
        *_message_metrics(settings),
        retries,
        RecordFailures(ledger, queues),
        CurrentMessage(),
        LogContext(),
        EndWithMaster(),
    ):
        broker.add_middleware(middleware)
    callbacks = Callbacks(client, dispatcher, queues)
    bundler = Bundler(
        ledger,
        records,
        staging,
        steps,
        EndRecords(ledger, records, staging),
        lease=settings.lease * 1000,
        deadline=settings.job_deadline * 1000,
        part_bytes=settings.upload_part_bytes,
        job_ttl=settings.job_ttl,
    )
    renderer = ChunkRenderer(
        ledger,
        records,
        staging,
        steps,
        lease=settings.lease * 1000,
        deadline=settings.job_deadline * 1000,
        max_attempts=settings.max_attempts,
    )
    webhooks = Webhooks(
        callbacks,
        WebhookSecrets(storage.bucket),
        records,
        rules=callback_rules(settings),
        prefix=settings.api_prefix,
        lease=settings.lease * 1000,
    )
    declare_actors(broker, dispatcher, renderer, bundler, callbacks=callbacks, webhooks=webhooks)
    return broker


def _message_metrics(settings: Settings) -> tuple[Middleware, ...]:
    if settings.metrics_port is None:
        return ()
    from pipeline.monitoring.message_metrics import MessageMetrics  # noqa: PLC0415 - it makes a folder

    return (MessageMetrics(),)


#: From <linux/prctl.h>: the signal a process gets when the thread that made it ends.
_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, with_signal: signal.Signals) -> None:
    """Have the kernel send ``with_signal`` to this process when its parent dies, on Linux.

    To be called early in a child process, on its main thread.

    Args:
        parent: the parent's process id as it was when it made this process, so that one that died
            before the call is noticed as well.
        with_signal: what to send.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, with_signal)
    if os.getppid() != parent:
        os.kill(os.getpid(), with_signal)
