"""HTTP server for Prometheus, on a port of its own, with the metrics of all processes of one unit.

A unit is an API with its processes, a worker, or a sweep. Its processes write their metrics into
files in one directory, ``PROMETHEUS_MULTIPROC_DIR``. This variable belongs to prometheus_client and
must be set before Python starts. Because of these files, each process can report the metrics of all
processes, and the counts of a killed process are kept. All counters restart at zero when the unit
is restarted.

The server has no authentication: bind it to an address that only Prometheus can reach.
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
    """Empty the metrics directory and check that the port is free.

    Call this before the first metric is created.

    Raises:
        SettingsError: a port is set without a directory, or the port is in use.
    """
    directory = os.environ.get(_DIRECTORY)
    if settings.metrics_port is not None and not directory:
        raise SettingsError(
            f"{variable('metrics_port')} is {settings.metrics_port}: set {_DIRECTORY} as well, to "
            "a directory that no other API, worker or sweep uses."
        )
    if directory:
        _remove_stale_files(Path(directory))
        # Dramatiq's middleware reads the same directory from a variable of its own.
        os.environ["dramatiq_prom_db"] = directory  # noqa: SIM112 - its name is lower-case
    if settings.metrics_port is not None:
        _check_free(settings.metrics_host, settings.metrics_port)


def expose_metrics(settings: Settings, *collectors: Collector) -> None:
    """Serve the metrics from a thread of this process, if a port is set.

    Args:
        settings: address and port of the server.
        collectors: read at every scrape, in addition to the files of the directory.
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
    """Metrics of the unit's processes: counters of all processes, gauges of live processes only.

    prometheus_client expects a master process to report which processes have died. A master that is
    killed (SIGKILL) cannot do so. Therefore the process that handles a scrape checks which
    processes are alive.
    """

    def __init__(self, directory: str) -> None:
        super().__init__(None, directory)  # type: ignore[no-untyped-call]
        self._directory = Path(directory)

    def collect(self) -> Iterable[Metric]:
        for file in self._directory.glob("gauge_live*.db"):
            if not _is_alive(_process_id(file)):
                file.unlink(missing_ok=True)
        # The base class finds no files if the path of the directory contains *, ? or [.
        files = [str(file) for file in self._directory.glob("*.db")]
        return self.merge(files, accumulate=True)  # type: ignore[no-untyped-call, no-any-return]


class _Server(ThreadingWSGIServer):
    """HTTP server that shares its port (SO_REUSEPORT) with the unit's other processes."""

    allow_reuse_port = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    """Request handler that does not log scrapes."""

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's signature
        pass


def _remove_stale_files(directory: Path) -> None:
    """Delete the files of dead processes, and of an earlier process with the same id."""
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
    except PermissionError:  # alive, and owned by another user
        pass
    return True


def _check_free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise SettingsError(
            f"{variable('metrics_port')} is {port}: it cannot be opened at {host} "
            f"({error.strerror}). Each API, worker and sweep needs a port of its own."
        ) from None
