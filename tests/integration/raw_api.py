"""The API under gunicorn in one process, and connections to it whose bytes a test chooses."""

import dataclasses
import http.client
import json
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import msgspec

from api.cli.server import api_command
from deploy.embedded import service_parts
from deploy.embedded.ports import free_port
from deploy.embedded.process import PartProcess, start_and_wait
from pipeline.service import Settings
from pipeline.settings import variable

ROOT = Path(__file__).parents[2]


class RawApi:
    """A running gunicorn.

    Attributes:
        log: path of its log.
        process: gunicorn's main process.
    """

    def __init__(self, port: int, process: PartProcess) -> None:
        self.port, self.process, self.log = port, process, process.log

    def connect(self, data: bytes = b"", source: str | None = None) -> socket.socket:
        """Open a connection, from a loopback address of its own if given, and send ``data``."""
        # A port that is bound to 127.0.0.1 before it connects, as create_connection does for a
        # source address, is taken from all other programs here for a minute after its connection.
        connection = socket.create_connection(
            ("127.0.0.1", self.port), 30, source_address=(source, 0) if source else None
        )
        connection.sendall(data)
        return connection

    def status(self, path: str, **headers: str) -> int:
        """Return the status of a GET on a connection of its own."""
        return httpx2.get(
            f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=20, trust_env=False
        ).status_code

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the log lines of an event."""
        lines = [
            json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")
        ]
        return [line for line in lines if line["event"] == name]


def response_of(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Return the status of a response, and its JSON body."""
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, json.loads(answer.read() or b"{}")


def has_answer_or_end(connection: socket.socket) -> bool:
    """Return whether the service has sent something, or has ended the connection."""
    return bool(select.select([connection], [], [], 0)[0])


def is_ended(connection: socket.socket) -> bool:
    """Return whether the service has ended a connection; discards what it has sent."""
    connection.settimeout(0)
    try:
        while connection.recv(65536):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def production_api(settings: Settings, directory: Path, limits: str) -> Iterator[RawApi]:
    """Run the API as in production, with two processes.

    Args:
        settings: the service's settings.
        directory: working directory, with the log.
        limits: soft and hard limit on open files, as for ``prlimit --nofile``.
    """
    port = free_port()
    part = service_parts.api(port, f"http://127.0.0.1:{port}", directory, _environment(settings))
    command = ("prlimit", f"--nofile={limits}", *part.command)
    process = start_and_wait(dataclasses.replace(part, command=command), directory)
    try:
        yield RawApi(port, process)
    finally:
        process.stop()


def _environment(settings: Settings) -> dict[str, str]:
    values = msgspec.structs.asdict(settings) | {"log_format": "json"}
    return {
        **{variable(name): str(value) for name, value in values.items() if value is not None},
        "PYTHONPATH": str(ROOT),
        "FORWARDED_ALLOW_IPS": "127.0.0.1",
    }


@contextmanager
def running_api(
    settings: Settings,
    directory: Path,
    *,
    wrap: Callable[[tuple[str, ...]], tuple[str, ...]] = lambda command: command,
    **environ: str,
) -> Iterator[RawApi]:
    """Run the API with the deadlines of ``short_deadlines``.

    Args:
        settings: the service's settings.
        directory: working directory, with the log.
        wrap: changes the command.
        environ: further environment variables.
    """
    environment = _environment(settings) | environ
    port = free_port()
    part = service_parts.api(port, f"http://127.0.0.1:{port}", directory, environment)
    command = tuple(
        word.replace("api.gunicorn_conf", "tests.integration.short_deadlines").replace(
            "api.app:get_app()", "tests.integration.short_deadlines:get_app()"
        )
        for word in api_command(f"127.0.0.1:{port}", 1)
    )
    process = start_and_wait(dataclasses.replace(part, command=wrap(command)), directory)
    try:
        yield RawApi(port, process)
    finally:
        process.stop()
