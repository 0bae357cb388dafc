"""Bodies that take too long."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from api.http.deadlines import BodyDeadline

LONGEST = 0.2  # seconds


@pytest.fixture
def deadline() -> BodyDeadline:
    return BodyDeadline(LONGEST)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    client, server = socket.socketpair()
    with client, server:
        yield client, server


def test_a_client_that_sends_a_byte_now_and_then_is_ended(
    deadline: BodyDeadline, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair
    dripping = threading.Thread(target=drip, args=(client,))
    dripping.start()
    begun, received = time.monotonic(), 0
    with deadline.enforced(server):
        while server.recv(1):
            received += 1
    assert received > 1
    assert time.monotonic() - begun >= LONGEST
    dripping.join()


def drip(client: socket.socket) -> None:
    with suppress(BrokenPipeError):
        while True:
            client.send(b"x")
            time.sleep(0.01)  # a byte now and then


def test_a_client_whose_body_has_arrived_may_send_the_next(
    deadline: BodyDeadline, pair: tuple[socket.socket, socket.socket]
) -> None:
    client, server = pair
    slow_client, slow = socket.socketpair()
    with slow_client, slow:
        client.send(b"first")
        with deadline.enforced(server):
            assert server.recv(5) == b"first"
        with deadline.enforced(slow):
            assert slow.recv(1) == b""  # the deadline of both is over
    client.send(b"second")
    assert server.recv(6) == b"second"
