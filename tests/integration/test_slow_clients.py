"""Clients that send or read slowly: they hold no thread, and no connection for long."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx2
import msgspec
import psutil
import pytest

from pipeline.service import Settings
from tests.integration.raw_api import (
    RawApi,
    has_answer_or_end,
    is_ended,
    production_api,
    response_of,
    running_api,
)
from tests.waiting import wait_for

#: Connections of each kind: more than the API has threads.
EACH = 40
FORM = "Content-Type: application/x-www-form-urlencoded"
BULK = "POST /qr/bulk/ HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
SIGN_IN = f"POST /ops/sign-in HTTP/1.1\r\nHost: a\r\n{FORM}\r\n"
#: What arrives at once, and what is sent of the rest, a byte now and then.
SLOW = {
    "half a request line": ("GET /qr/bu", ""),
    "half a head": ("GET /qr/bulk/ HTTP/1.1\r\nHost: a\r\nX-API-K", ""),
    "a head that never ends": ("GET /qr/bulk/ HTTP/1.1\r\nHost: a\r\nX-Padding: ", "x" * 10_000),
    "an empty line before the request": ("\r\nGET / HT", ""),
    "no body": (f"{SIGN_IN}Content-Length: 100\r\n\r\n", ""),
    "a form byte by byte": (f"{SIGN_IN}Content-Length: 60000\r\n\r\n", "x" * 10_000),
    "a body without a key": (f"{BULK}Content-Length: 50\r\n\r\n", "{" * 10_000),
    "a body that is expected": (f"{SIGN_IN}Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", ""),
    "half of a second request": (
        "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHo",
        "",
    ),
}


@pytest.fixture
def api(settings: Settings, tmp_path: Path) -> Iterator[RawApi]:
    few = msgspec.structs.replace(settings, long_polls=0)  # 16 threads
    with running_api(few, tmp_path, TEST_CONNECTIONS="2000") as running:
        yield running


@contextmanager
def dripping(connections: list[socket.socket], rest: str) -> Iterator[None]:
    """Send ``rest`` on all connections, a byte in a fifth of a second."""
    stop = threading.Event()

    def drip() -> None:
        for byte in rest.encode():
            for connection in connections:
                with suppress(OSError):
                    connection.send(bytes([byte]), socket.MSG_DONTWAIT)
            if stop.wait(0.2):
                break

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_slow_requests_hold_no_thread_and_end_at_their_deadline(api: RawApi, token: str) -> None:
    with ExitStack() as stack:
        slow = {
            name: [stack.enter_context(api.connect(begun.encode())) for _ in range(EACH)]
            for name, (begun, _) in SLOW.items()
        }
        for name, (_, rest) in SLOW.items():
            stack.enter_context(dripping(slow[name], rest))
        for _ in range(20):
            assert api.status("/qr/bulk/", **{"X-API-Key": token}) == 200
            assert api.status("/healthz") == 200
        for name, connections in slow.items():
            for connection in connections:
                last = everything(connection).rpartition(b"HTTP/1.1 ")[2]
                status, problem = last[:3], json.loads(last.partition(b"\r\n\r\n")[2])
                assert (status, problem["error_code"]) == (b"408", "request_timeout"), name
                wait_for(partial(is_ended, connection), "its end")
    (reported, *_) = wait_for(lambda: api.events("connections ended"), "the log line")
    assert set(reported) & {"slow_head", "slow_body"}
    assert api.status("/qr/bulk/", **{"X-API-Key": token}) == 200


def test_no_thread_waits_for_a_large_body_without_a_key(api: RawApi, token: str) -> None:
    for head in (
        f"{BULK}Content-Length: 100000\r\n\r\n",
        f"{BULK}Transfer-Encoding: chunked\r\n\r\n",
        f"{BULK}Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n",
    ):
        with ExitStack() as stack:
            slow = [stack.enter_context(api.connect(head.encode())) for _ in range(60)]
            assert api.status("/qr/bulk/", **{"X-API-Key": token}) == 200
            for connection in slow:
                status, problem = response_of(connection)
                assert (status, problem["error_code"]) == (401, "unauthorized"), head
                wait_for(partial(is_ended, connection), "its end")


def test_threads_that_wait_for_large_bodies_are_not_those_of_other_requests(
    settings: Settings, tmp_path: Path, token: str
) -> None:
    few = msgspec.structs.replace(settings, long_polls=0)  # 16 threads
    head = f"{BULK}X-API-Key: {token}\r\n"
    with running_api(few, tmp_path, TEST_BODY="6") as api, ExitStack() as stack:
        slow = [
            stack.enter_context(api.connect(f"{head}{rest}".encode()))
            for rest in (
                "Content-Length: 100000\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n1\r\n{",
            )
            for _ in range(30)
        ]
        for _ in range(3):
            assert api.status("/qr/bulk/", **{"X-API-Key": token}) == 200
        assert [connection for connection in slow if has_answer_or_end(connection)] == []
        for connection in slow:
            status, problem = response_of(connection)
            # 429 and 503: too many large bodies of the tenant, or of all, at once.
            ends = {(400, "short_body"), (429, "busy"), (503, "busy")}
            assert (status, problem["error_code"]) in ends
            wait_for(partial(is_ended, connection), "its end")


def test_a_form_of_unknown_or_too_large_a_size_is_refused_unread(api: RawApi) -> None:
    for line, status, title in (
        ("Transfer-Encoding: chunked", 411, b"<h1>411"),
        ("Content-Length: 70000", 413, b"<h1>413"),
    ):
        with api.connect(f"{SIGN_IN}{line}\r\n\r\n".encode()) as connection:
            received = b""
            while data := connection.recv(65536):
                received += data
            assert received.startswith(f"HTTP/1.1 {status} ".encode())
            assert title in received


def test_slow_readers_hold_no_thread_and_end_at_their_deadline(api: RawApi, token: str) -> None:
    request = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n"
    with ExitStack() as stack:
        slow = [stack.enter_context(small_receiver(api.port)) for _ in range(60)]
        for connection in slow:
            connection.sendall(request * 3)
        for _ in range(20):
            assert api.status("/qr/bulk/", **{"X-API-Key": token}) == 200
        wait_for(
            lambda: sum(row.get("slow_response", 0) for row in api.events("connections ended")),
            "their end",
        )
        whole = httpx2.get(
            f"http://127.0.0.1:{api.port}/docs/swagger-ui-bundle.js", timeout=20, trust_env=False
        )
        received = {len(everything(connection)) for connection in slow}
        assert max(received) < 3 * len(whole.content)  # cut off


def small_receiver(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", port))
    return connection


def everything(connection: socket.socket) -> bytes:
    received = b""
    with suppress(ConnectionError):
        while data := connection.recv(65536):
            received += data
    return received


def test_a_client_that_reads_slowly_but_in_time_gets_all_of_its_responses(api: RawApi) -> None:
    request = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: a\r\n\r\n"
    last = request.replace(b"Host: a", b"Host: a\r\nConnection: close")
    with small_receiver(api.port) as connection:
        connection.sendall(request + last)
        time.sleep(1)
        received = everything(connection)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in received.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
    assert len(bodies[0]) > 500_000


def test_requests_may_arrive_in_any_pieces(api: RawApi, token: str) -> None:
    body = json.dumps({"gtin": "9506000134352", "items": [{"lot": "A"}]}).encode()
    first = f"{BULK}X-API-Key: {token}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
    second = f"GET /qr/bulk/ HTTP/1.1\r\nHost: a\r\nX-API-Key: {token}\r\n\r\n".encode()
    sent = first + second + second
    for size in (1, 2, 3, 7, 64, len(first) + 5, len(sent)):
        with api.connect() as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for begin in range(0, len(sent), size):
                connection.sendall(sent[begin : begin + size])
            statuses = read_statuses(connection, 3)
        assert statuses == [202, 200, 200], size


def read_statuses(connection: socket.socket, count: int) -> list[int]:
    """Return the statuses of pipelined responses, each of which has a Content-Length."""
    stream, found = connection.makefile("rb"), []
    for _ in range(count):
        found.append(int(stream.readline().split()[1]))
        length = 0
        while (line := stream.readline()) != b"\r\n":
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        stream.read(length)
    return found


def test_a_body_that_is_expected_is_asked_for_once_and_accepted(api: RawApi, token: str) -> None:
    body = json.dumps({"gtin": "9506000134352", "items": [{"lot": "A"}]}).encode()
    head = (
        f"{BULK}X-API-Key: {token}\r\nExpect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with api.connect(head.encode()) as connection:
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 202 ")


def test_a_head_without_end_is_431_and_one_below_the_limit_is_read(api: RawApi) -> None:
    fields = [f"X-{number}: {'x' * 8000}\r\n" for number in range(9)]
    with api.connect(b"GET /healthz HTTP/1.1\r\nHost: a\r\n") as connection:
        connection.sendall("".join(fields).encode())
        status, problem = response_of(connection)
    assert (status, problem["error_code"]) == (431, "headers_too_large")
    with api.connect(b"GET /healthz HTTP/1.1\r\nHost: a\r\n") as connection:
        connection.sendall("".join(fields[:7]).encode() + b"\r\n")
        assert response_of(connection)[0] == 200


@pytest.mark.long
@pytest.mark.parametrize("limits", ["1024:1024", "1024:20000"])
def test_a_laptop_does_not_stop_an_api_with_the_deadlines_of_production(
    settings: Settings, tmp_path: Path, token: str, limits: str
) -> None:
    """The attack of 2026-11-28: as many connections as both processes have threads, and idle ones.

    All of them come from the address from which the valid requests come, and that is trusted.
    """
    key = {"X-API-Key": token, "Prefer": "wait=3"}
    with production_api(settings, tmp_path, limits) as api, ExitStack() as stack:
        pids = {child.pid for child in psutil.Process(api.process.pid).children()}
        head, form = SLOW["half a head"][0], SLOW["a form byte by byte"]
        slow = [stack.enter_context(api.connect(head.encode())) for _ in range(1056)]
        forms = [stack.enter_context(api.connect(form[0].encode())) for _ in range(1056)]
        for _ in range(1500):
            stack.enter_context(api.connect())
        stack.enter_context(dripping(forms, form[1]))
        until = time.monotonic() + 70  # past every deadline
        served = 0
        while time.monotonic() < until:
            assert api.status("/healthz") == 200
            assert api.status("/readyz") == 200
            assert api.status("/qr/bulk/", **key) == 200
            served += 1
            time.sleep(0.2)
        for connection in [*slow, *forms]:
            wait_for(partial(is_ended, connection), "its end")
        assert {child.pid for child in psutil.Process(api.process.pid).children()} == pids
    assert served > 20
