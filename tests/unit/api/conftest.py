"""A client and the server it asks, shared by the run: making a TLS context takes a while."""

from collections.abc import Iterator

import pytest

from api.client import Client
from tests.unit.api.scripted_server import Answer, Clock, ScriptedServer, scripted_server

KEY = "qrmill_abc_secret"


@pytest.fixture(scope="session")
def shared_server() -> Iterator[ScriptedServer]:
    with scripted_server() as running:
        yield running


@pytest.fixture
def server(shared_server: ScriptedServer) -> ScriptedServer:
    shared_server.requests.clear()
    shared_server.script = lambda _: Answer(500)
    return shared_server


@pytest.fixture(scope="session")
def shared_clock() -> Clock:
    return Clock()


@pytest.fixture
def clock(shared_clock: Clock) -> Clock:
    shared_clock.slept.clear()
    shared_clock.now = 1000.0  # a whole number, so that sums of seconds are exact
    return shared_clock


@pytest.fixture(scope="session")
def shared_client(shared_server: ScriptedServer, shared_clock: Clock) -> Iterator[Client]:
    with Client(
        shared_server.url, KEY, timeout=5, sleep=shared_clock.sleep, clock=shared_clock
    ) as found:
        yield found


@pytest.fixture
def client(shared_client: Client, server: ScriptedServer, clock: Clock) -> Client:  # noqa: ARG001
    shared_client._api._resume_at = 0.0  # what a rate of the test before left
    return shared_client
