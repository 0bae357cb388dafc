"""The health check of the image: its exit status, by the response of a URL."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy import healthcheck
from deploy.embedded.ports import free_port
from tests.unit.api.scripted_server import LOST, Answer, ScriptedServer, scripted_server

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("response", "healthy"),
    [
        (Answer(200, b"metrics"), True),
        (Answer(204), True),
        (Answer(404), False),
        (Answer(503), False),
        (LOST, False),
    ],
)
def test_only_a_successful_response_is_healthy(response: Answer, *, healthy: bool) -> None:
    with scripted_server() as server:
        server.script = lambda _: response
        assert healthcheck.answers(f"{server.url}/metrics") == healthy


def test_a_redirect_counts_by_where_it_leads() -> None:
    with scripted_server() as server:
        server.answer_in_turn(Answer(302, headers={"Location": "/elsewhere"}), Answer(500))
        assert not healthcheck.answers(f"{server.url}/metrics")


def test_a_closed_port_is_unhealthy() -> None:
    assert not healthcheck.answers(f"http://127.0.0.1:{free_port()}/metrics")


def test_a_server_that_hangs_is_unhealthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(healthcheck, "_SECONDS", 0.05)
    listening = ScriptedServer()  # it accepts connections and never reads from them
    try:
        assert not healthcheck.answers(listening.url)
    finally:
        listening.server_close()


def test_no_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    with scripted_server() as server:
        server.script = lambda _: Answer(200)
        assert healthcheck.answers(server.url)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (500, 1)])
def test_the_exit_status_is_that_of_a_docker_health_check(status: int, code: int) -> None:
    with scripted_server() as server:
        server.script = lambda _: Answer(status)
        command = [sys.executable, "-m", "deploy.healthcheck", server.url]
        assert subprocess.run(command, cwd=ROOT, check=False, timeout=30).returncode == code
