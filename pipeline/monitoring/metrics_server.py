"""The metrics listener: where Prometheus reads one service's processes, apart from the API's port.

A service is what runs as one unit: the API with its processes, a worker, a sweep. Its processes
write what they count into files of one folder, ``PROMETHEUS_MULTIPROC_DIR`` (prometheus_client's
own variable, which it wants set before Python starts), so each of them can answer for all, and what
a killed process has counted still counts. The service begins at zero when it is started anew.

The listener answers everybody: bind it where only Prometheus reaches it.
"""

import os
import socket
from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from pipeline.settings import Settings, SettingsError, variable

_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"


def prepare_metrics(settings: Settings) -> None:
    """Empty the service's folder and see that its port is free; before its first metric is made.

    Raises:
        SettingsError: there is a port and no folder, or the port is taken.
    """
    directory = os.environ.get(_DIRECTORY)
    if settings.metrics_port is not None and not directory:
        raise SettingsError(
            f"{variable('metrics_port')} is {settings.metrics_port}: set {_DIRECTORY} as well, to "
            "a folder that this service shares with no other."
        )
    if directory:
        _remove_files_of_the_dead(Path(directory))
        # Dramatiq's middleware has a variable of its own for the same folder.
        os.environ["dramatiq_prom_db"] = directory  # noqa: SIM112 - that is its name
    if settings.metrics_port is not None:
        _check_free(settings.metrics_host, settings.metrics_port)


def expose_metrics(settings: Settings, *collectors: Collector) -> None:
    """Answer Prometheus from a thread of this process until it ends, if there is a port.

    Args:
        settings: the port.
        collectors: asked at every scrape, besides the folder's files.
    """
    if settings.metrics_port is None:
        return
    registry = CollectorRegistry()
    for collector in (_Processes(os.environ[_DIRECTORY]), *collectors):
        registry.register(collector)
    server = make_server(
        settings.metrics_host,
        settings.metrics_port,
        make_wsgi_app(registry),
        server_class=_Server6 if ":" in settings.metrics_host else _Server,
        handler_class=_Handler,
    )
    Thread(target=server.serve_forever, name="metrics", daemon=True).start()


class _Processes(MultiProcessCollector):
    """What the service's processes have counted: counters of all, gauges of those that live.

    prometheus_client leaves it to a master process to say who died. After a kill -9 of that one
    nobody would; so whoever answers looks.
    """

    def __init__(self, directory: str) -> None:
        super().__init__(None, directory)  # type: ignore[no-untyped-call]
        self._directory = Path(directory)

    def collect(self) -> Iterable[Metric]:
        for file in self._directory.glob("gauge_live*.db"):
            if not _is_alive(_process_id(file)):
                file.unlink(missing_ok=True)
        return super().collect()  # type: ignore[no-untyped-call, no-any-return]


class _Server(ThreadingWSGIServer):
    """Shares its port with the service's other processes; one that dies is not missed."""

    allow_reuse_port = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    """Logs no scrapes."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's signature
        pass


def _remove_files_of_the_dead(directory: Path) -> None:
    """Remove what earlier runs left, and what one with this process's id left."""
    directory.mkdir(parents=True, exist_ok=True)
    for file in directory.glob("*.db"):
        process_id = _process_id(file)
        if process_id == os.getpid() or not _is_alive(process_id):
            file.unlink(missing_ok=True)


def _process_id(file: Path) -> int:
    return int(file.stem.rpartition("_")[2])


def _is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def _check_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise SettingsError(
            f"{variable('metrics_port')} is {port}: it cannot be opened at {host} "
            f"({error.strerror}). Each service needs a port of its own."
        ) from None
