"""Gunicorn configuration: ``python -P -m api.gunicorn_app --config python:api.gunicorn_conf``.

The bind address, the number of processes and ``api.app:get_app()`` come from the command line.
"""

import logging
import signal
import sys
import threading
from types import FrameType
from typing import Any

import structlog

from api.app import read_settings
from api.connections import sizes
from api.connections.open_files import connections_within, raise_limit
from api.connections.worker import ConnectionWorker
from pipeline.service import SettingsError, configure_logging, prepare_metrics

log = structlog.get_logger(__name__)

_SETTINGS = read_settings()
_OPEN_FILES = raise_limit()
worker_class = ConnectionWorker
threads = sizes.threads(_SETTINGS.long_polls)
_WANTED_CONNECTIONS = sizes.wanted_connections(_SETTINGS.long_polls)
#: Maximum number of connections per process.
worker_connections = connections_within(_OPEN_FILES, _WANTED_CONNECTIONS)
#: Maximum length of a request line in bytes; gunicorn permits no more. In the query of a CSV
#: request, a callback URL of 2000 characters may take 6000 bytes, because it is percent-encoded.
limit_request_line = 8190
#: Seconds for which an idle keep-alive connection stays open; the other deadlines of a connection
#: are in ``api.http.deadlines``.
keepalive = _SETTINGS.keep_alive
#: No header field changes the path of a request. By default, gunicorn takes ``SCRIPT_NAME`` from a
#: trusted proxy, which passes on what its client has sent.
forwarder_headers = ""
#: Files are sent as other responses are, so that no thread waits for a slow client.
sendfile = False
#: Seconds without a sign of life after which a worker process is killed.
timeout = 60
#: Seconds that a worker process has to finish its requests after SIGTERM.
graceful_timeout = 30
#: Gunicorn's control socket is disabled: it is in the home directory, so all services of a user
#: would share one socket.
control_socket_disable = True


def on_starting(server: Any) -> None:  # noqa: ANN401 - gunicorn's arbiter, untyped
    """Validate the settings before any worker process starts, and unify the logs.

    Exits with a message if a setting is invalid. Gunicorn's loggers get the service's log format.
    """
    configure_logging(_SETTINGS)
    if server.cfg.is_ssl:
        sys.exit("qrmill: gunicorn's own TLS is not supported. Put a reverse proxy with TLS first.")
    try:
        prepare_metrics(_SETTINGS)
    except SettingsError as error:
        sys.exit(f"qrmill: {error}")
    for name in ("gunicorn.error", "gunicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    _log_connections(server.cfg.worker_connections)


def _log_connections(connections: int) -> None:
    fields = {"per_process": connections, "open_files": _OPEN_FILES}
    if connections < _WANTED_CONNECTIONS:
        log.warning("connections limited", **fields, wanted=_WANTED_CONNECTIONS)
    else:
        log.info("connections", **fields)


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
