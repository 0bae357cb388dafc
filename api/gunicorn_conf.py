"""Gunicorn configuration: ``python -P -m api.gunicorn_app --config python:api.gunicorn_conf``.

The bind address, the number of processes and ``api.app:get_app()`` come from the command line.
"""

import logging
import signal
import sys
import threading
from types import FrameType
from typing import Any

from api.app import read_settings
from api.gunicorn_worker import ProblemWorker
from pipeline.service import SettingsError, configure_logging, prepare_metrics

worker_class = ProblemWorker
#: Threads in addition to those in which long polls wait for a job's end.
_WORKING_THREADS = 16
threads = _WORKING_THREADS + read_settings().long_polls
#: Maximum number of connections per process: one per thread, and 1000 that are idle or wait.
worker_connections = threads + 1000
#: Maximum length of a request line in bytes; gunicorn permits no more. In the query of a CSV
#: request, a callback URL of 2000 characters may take 6000 bytes, because it is percent-encoded.
limit_request_line = 8190
#: Seconds for which an idle keep-alive connection stays open.
keepalive = 30
#: Seconds without a sign of life after which a worker process is killed.
timeout = 60
#: Seconds that a worker process has to finish its requests after SIGTERM.
graceful_timeout = 30
#: Gunicorn's control socket is disabled: it is in the home directory, so all services of a user
#: would share one socket.
control_socket_disable = True


def on_starting(server: Any) -> None:  # noqa: ANN401, ARG001 - gunicorn's arbiter, untyped
    """Validate the settings before any worker process starts, and unify the logs.

    Exits with a message if a setting is invalid. Gunicorn's loggers get the service's log format.
    """
    settings = read_settings()
    configure_logging(settings)
    try:
        prepare_metrics(settings)
    except SettingsError as error:
        sys.exit(f"qrmill: {error}")
    for name in ("gunicorn.error", "gunicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True


def post_worker_init(worker: Any) -> None:  # noqa: ANN401 - gunicorn's worker, untyped
    """Prepare a worker process: metrics, a first health check, and an early end of long polls.

    The first health check logs unavailable backends at startup, before the first request.
    On SIGTERM, waiting long polls get their responses at once, so that the worker can stop.
    """
    worker.wsgi.service.expose_metrics()
    # In a thread, so that a hanging backend does not delay the start.
    threading.Thread(
        target=worker.wsgi.service.health.unready, name="first health check", daemon=True
    ).start()
    stop = signal.getsignal(signal.SIGTERM)

    def end_polls_and_stop(number: int, frame: FrameType | None) -> None:
        worker.wsgi.service.jobs.stop_waiting()
        if callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGTERM, end_polls_and_stop)
