"""How gunicorn serves the API: ``python -P -m api.gunicorn_app --config python:api.gunicorn_conf``.

Bind address, number of processes and ``api.app:get_app()`` come from the command line.
"""

import logging
import signal
import sys
import threading
from types import FrameType
from typing import Any

from api.app import read_settings
from pipeline.service import SettingsError, configure_logging, prepare_metrics

worker_class = "gthread"
#: Threads beside those in which polls wait for a job's end.
_WORKING_THREADS = 16
threads = _WORKING_THREADS + read_settings().long_polls
#: Connections beside those: idle ones, and requests that wait for a thread.
worker_connections = threads + 1000
#: Bytes of a request line, the most that gunicorn takes: in the query of a CSV body, a callback URL
#: of 2000 characters has up to 6000.
limit_request_line = 8190
#: Seconds an idle connection is kept for its client's next request.
keepalive = 30
#: Seconds a worker may be silent, and has to finish its requests when it is asked to stop.
timeout = 60
graceful_timeout = 30
#: Gunicorn would put one socket for all of a user's services into the home directory.
control_socket_disable = True


def on_starting(server: Any) -> None:  # noqa: ANN401, ARG001 - gunicorn's arbiter, untyped
    """Stop the start at a wrong setting, before any worker is made, and send logs one way."""
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
    """Answer Prometheus; let polls that wait be answered at once when the worker is to stop.

    A server that refuses is told in the log now, and not with the first request.
    """
    worker.wsgi.service.expose_metrics()
    # Beside: one that does not answer holds nothing up.
    threading.Thread(
        target=worker.wsgi.service.health.unready, name="first look", daemon=True
    ).start()
    stop = signal.getsignal(signal.SIGTERM)

    def answer_and_stop(number: int, frame: FrameType | None) -> None:
        worker.wsgi.service.jobs.stop_waiting()
        if callable(stop):
            stop(number, frame)

    signal.signal(signal.SIGTERM, answer_and_stop)
