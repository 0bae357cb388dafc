"""How gunicorn serves the API: ``gunicorn --config python:api.gunicorn_conf 'api.app:get_app()'``.

Bind address and number of processes come from the command line.
"""

import logging
from typing import Any

from api.app import read_settings
from pipeline.service import configure_logging

worker_class = "gthread"
threads = 8
#: Seconds an idle connection is kept for its client's next request.
keepalive = 30
#: Seconds a worker may be silent, and has to finish its requests when it is asked to stop.
timeout = 60
graceful_timeout = 30
#: Gunicorn would put one socket for all of a user's services into the home directory.
control_socket_disable = True


def on_starting(server: Any) -> None:  # noqa: ANN401, ARG001 - gunicorn's arbiter, untyped
    """Stop the start at a wrong setting, before any worker is made, and send logs one way."""
    configure_logging(read_settings())
    for name in ("gunicorn.error", "gunicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
