"""Logging: one event per line on standard error, as JSON or as text, without secrets."""

import logging
import sys

import structlog
from dramatiq import Broker, MessageProxy
from dramatiq.middleware import Middleware
from structlog.typing import Processor

from pipeline.model.records import JobFields
from pipeline.settings import Settings

#: Minimum log level per library. Below that level, the libraries log requests, URLs or message
#: bodies.
_QUIET = {
    "botocore": logging.WARNING,
    "boto3": logging.WARNING,
    "urllib3": logging.WARNING,
    "httpx2": logging.WARNING,
    "dramatiq": logging.INFO,
    # pika logs tracebacks of lost connections; the code that uses a connection logs its loss.
    "pika": logging.CRITICAL,
}


def configure_logging(settings: Settings) -> None:
    """Send the log events of structlog and of the standard library through one handler."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=_rendering(settings.log_format)
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name, level in _QUIET.items():
        logging.getLogger(name).setLevel(max(level, root.level))


def _rendering(log_format: str) -> list[Processor]:
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "json":
        renderer: list[Processor] = [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    else:
        # structlog's default tracebacks show local variables, which may contain tokens.
        plain = structlog.dev.plain_traceback
        renderer = [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)]
    return [strip, *renderer]


class LogContext(Middleware):
    """Middleware that adds the current task and chunk to every log line of a worker thread."""

    def before_process_message(self, broker: Broker, message: MessageProxy) -> None:
        """Bind the actor, task id and chunk of the message."""
        structlog.contextvars.clear_contextvars()
        names = ("task_id", "chunk")
        structlog.contextvars.bind_contextvars(
            actor=message.actor_name, **dict(zip(names, message.args, strict=False))
        )


def bind_job_context(job: JobFields) -> None:
    """Add a job's request id and API key name to all further log lines of this thread."""
    structlog.contextvars.bind_contextvars(request_id=job.request_id, key=job.key_name)
