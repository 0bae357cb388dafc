"""The roles go on when their logs cannot be written: ``qrmill worker 2>&1 | head``, a full disk."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx2
import pytest

from api.cli.server import api_command, sweep_command, worker_command
from deploy.embedded.ports import free_port
from pipeline.service import Settings
from pipeline.settings import variable
from tests.waiting import wait_for


@contextmanager
def without_reader(where: str) -> Iterator[int]:
    """A descriptor that takes no output: a pipe whose reader has exited, or a full disk."""
    if where == "full disk":
        writer = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, writer = os.pipe()
        os.close(reader)
    yield writer
    os.close(writer)


@contextmanager
def running(command: tuple[str, ...], environ: dict[str, str], output: int) -> Iterator[None]:
    process = subprocess.Popen(
        command, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    yield
    assert process.poll() is None
    process.terminate()
    assert process.wait(60) == 0


@pytest.mark.parametrize("where", [pytest.param("pipe", marks=pytest.mark.long), "full disk"])
def test_a_job_completes_though_no_log_line_can_be_written(
    settings: Settings, token: str, where: str
) -> None:
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    environ = os.environ | {
        variable(name): str(value) for name, value in values.items() if value is not None
    }
    port = free_port()
    url, headers = f"http://127.0.0.1:{port}", {"X-API-Key": token}
    body = {"gtin": "9506000134352", "items": [{"lot": "A"}] * 100, "format": "svg"}
    with (
        ExitStack() as roles,
        httpx2.Client(base_url=url, headers=headers, trust_env=False) as client,
    ):
        output = roles.enter_context(without_reader(where))
        for command in (api_command(f"127.0.0.1:{port}", 1), worker_command(1), sweep_command()):
            roles.enter_context(running(command, environ, output))
        wait_for(lambda: is_ready(client), "the API", pause=0.1)
        poll_url = client.post("/qr/bulk/", json=body).raise_for_status().json()["poll_url"]

        def completed() -> bool:
            return bool(client.get(poll_url).json()["status"] == "completed")

        wait_for(completed, "the job", pause=0.2)


def is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").is_success
    except httpx2.TransportError:
        return False
