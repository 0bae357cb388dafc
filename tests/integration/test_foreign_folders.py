"""The service started in a folder that has ``api/``, ``pipeline/`` and others of its own."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

from deploy.embedded import service_parts
from deploy.embedded.ports import free_port
from deploy.embedded.process import Part, PartProcess, start_and_wait
from deploy.embedded.running import running_stack
from deploy.embedded.servers import RedisServer
from pipeline.settings import Settings, variable
from tests.command_line import QRMILL

#: Our packages, and some of others that are imported late.
NAMES = ("api", "pipeline", "render", "deploy", "gunicorn", "dramatiq", "falcon", "redis", "pika")
PYTHON = ("PYTHONPATH", "PYTHONSAFEPATH")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder; whatever is imported from it raises."""
    made = tmp_path / "project"
    for name in NAMES:
        (made / name).mkdir(parents=True)
        (made / name / "__init__.py").write_text(f"raise RuntimeError('their {name}')\n", "utf-8")
    return made


@pytest.fixture
def environ(settings: Settings) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if name not in PYTHON}
    values = msgspec.structs.asdict(settings).items()
    return others | {variable(name): str(value) for name, value in values if value is not None}


@pytest.fixture
def redis_server(redis_url: str) -> RedisServer:
    address = urlsplit(redis_url)
    assert address.port is not None
    return RedisServer(address.port, address.password or "")


class Starter:
    """Starts parts by the command that a user types, and ends them with the test."""

    def __init__(self, logs: Path) -> None:
        self.running: list[PartProcess] = []
        self._logs = logs

    def start(self, part: Part, *arguments: str) -> None:
        typed = replace(part, command=(str(QRMILL), *arguments))
        self.running.append(start_and_wait(typed, self._logs))


@pytest.fixture
def starter(tmp_path: Path) -> Iterator[Starter]:
    made = Starter(tmp_path / "logs")
    yield made
    for process in made.running:
        process.stop()


@pytest.mark.parametrize(
    "python", [{}, {"PYTHONSAFEPATH": "1"}, {"PYTHONPATH": "/nonexistent"}], ids=str
)
def test_the_api_is_ours(
    folder: Path, environ: dict[str, str], starter: Starter, python: dict[str, str]
) -> None:
    port = free_port()
    part = service_parts.api(port, f"http://127.0.0.1:{port}", folder, environ | python)
    starter.start(part, "api", "--bind", f"127.0.0.1:{port}", "--processes", "1")


def test_a_worker_is_ours(
    folder: Path, environ: dict[str, str], starter: Starter, redis_server: RedisServer
) -> None:
    starter.start(service_parts.worker(1, folder, environ, redis_server), "worker")


@pytest.mark.parametrize("arguments", [("sweep", "--once"), ("up", "--help")])
def test_a_command_that_ends_is_ours(
    folder: Path, environ: dict[str, str], arguments: tuple[str, ...]
) -> None:
    command = [str(QRMILL), *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_an_embedded_stack_is_ours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PYTHON:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    with running_stack(folder / "data") as stack, stack.client() as client:
        assert client.get("/healthz").status_code == 200
