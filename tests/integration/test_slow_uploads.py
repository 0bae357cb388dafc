"""Many slow uploads of one key, on real sockets, beside a large request of another key."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx2
import msgspec
import pytest

from deploy.embedded import service_parts
from deploy.embedded.ports import free_port
from deploy.embedded.process import start_and_wait
from pipeline.service import Service, Settings
from pipeline.settings import variable
from tests.waiting import wait_for

_UPLOADS = 120
_BODY = json.dumps(
    {"gtin": "9506000134352", "items": [{"serial": f"{number:020}"} for number in range(4000)]}
).encode()


@pytest.fixture
def port(settings: Settings, tmp_path: Path) -> Iterator[int]:
    """Port of gunicorn."""
    values = msgspec.structs.asdict(settings) | {"log_format": "json"}
    own = {variable(name): str(value) for name, value in values.items() if value is not None}
    environ = {**os.environ, **own}
    found = free_port()
    part = service_parts.api(found, f"http://127.0.0.1:{found}", tmp_path, environ)
    process = start_and_wait(part, tmp_path)
    yield found
    process.stop()


def begin_upload(port: int, token: str) -> socket.socket:
    """Send the head of a large request and half of its body."""
    connection = socket.create_connection(("127.0.0.1", port), 30)
    head = (
        f"POST /qr/bulk/ HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    )
    connection.sendall(head.encode() + _BODY[: len(_BODY) // 2])
    return connection


def post(port: int, token: str) -> httpx2.Response:
    headers = {"X-API-Key": token, "Content-Type": "application/json"}
    url = f"http://127.0.0.1:{port}/qr/bulk/"
    return httpx2.post(url, content=_BODY, headers=headers, timeout=60, trust_env=False)


def status(connection: socket.socket) -> int:
    connection.settimeout(30)
    return int(connection.recv(65536).split()[1])


@pytest.mark.timeout(180)
def test_slow_uploads_of_a_key_hold_up_no_other_key(service: Service, port: int) -> None:
    slow, other = (
        service.api_keys.create(name=name, role="client").token for name in ("slow", "other")
    )
    with ExitStack() as stack:
        uploads = [stack.enter_context(begin_upload(port, slow)) for _ in range(_UPLOADS)]
        time.sleep(1)  # the processes receive all of them
        for _ in range(5):
            answer = post(port, other)
            assert answer.status_code == 202, answer.text
        refused = wait_for(lambda: readable(uploads), "uploads over the key's places")
        assert {status(each) for each in refused} == {429}


def readable(connections: list[socket.socket]) -> list[socket.socket]:
    """Return the connections with a response, if there are as many as there must be."""
    found = []
    for connection in connections:
        connection.settimeout(0.001)
        try:
            if connection.recv(1, socket.MSG_PEEK):
                found.append(connection)
        except TimeoutError:
            continue
    # Two processes have sixteen places of the key each.
    return found if len(found) >= _UPLOADS - 2 * 16 else []


def test_a_slow_upload_is_accepted_when_it_has_arrived(service: Service, port: int) -> None:
    token = service.api_keys.create(name="slow", role="client").token
    with begin_upload(port, token) as connection:
        time.sleep(1)
        connection.sendall(_BODY[len(_BODY) // 2 :])
        assert status(connection) == 202
