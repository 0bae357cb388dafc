"""Gunicorn's configuration as in production, but with short deadlines, for tests.

The variable ``TEST_CONNECTIONS`` sets the number of connections per process; ``TEST_IDLE`` and
``TEST_BODY`` set the keep-alive and the deadline of bodies in seconds.
"""

import os
from typing import Any

from api import gunicorn_conf
from api.app import App, create_app, read_settings
from api.connections.worker import ConnectionWorker
from api.http.deadlines import Deadlines
from api.http.trusted_proxies import TrustedProxies
from pipeline.service import configure_logging, open_service

DEADLINES = Deadlines(
    idle=float(os.environ.get("TEST_IDLE", "30")),
    head=2.0,
    body=float(os.environ.get("TEST_BODY", "2")),
    response=2.0,
    closing=0.5,
    unread=0.1,
)


class ShortWorker(ConnectionWorker):
    """The worker of production, whose deadlines are short."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - of gunicorn
        super().__init__(*args, **kwargs)
        self.deadlines = DEADLINES


globals().update(
    {name: value for name, value in vars(gunicorn_conf).items() if not name.startswith("_")}
)
worker_class = ShortWorker
worker_connections = int(
    os.environ.get("TEST_CONNECTIONS") or str(gunicorn_conf.worker_connections)
)


def get_app() -> App:
    """The application of production, whose deadline for bodies is short."""
    settings = read_settings()
    configure_logging(settings)
    proxies = TrustedProxies(os.environ["FORWARDED_ALLOW_IPS"])
    return create_app(open_service(settings), settings, proxies, DEADLINES)
