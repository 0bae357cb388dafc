"""How many connections there may be, whose, and for how long; health checks meanwhile."""

import http.client
import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from itertools import product
from pathlib import Path
from uuid import uuid4

import msgspec
import psutil
import pytest

from pipeline.auth.tokens import checksum
from pipeline.service import Settings
from tests.faults.proxy import FaultProxy, Mode
from tests.integration.raw_api import (
    RawApi,
    has_answer_or_end,
    is_ended,
    response_of,
    running_api,
)
from tests.waiting import wait_for

HEALTHY = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture
def few(settings: Settings) -> Settings:
    """Settings with which the API has 16 threads."""
    return msgspec.structs.replace(settings, long_polls=0)


def open_files(limits: str) -> Callable[[tuple[str, ...]], tuple[str, ...]]:
    return lambda command: ("prlimit", f"--nofile={limits}", *command)


def children(api: RawApi) -> set[int]:
    return {child.pid for child in psutil.Process(api.process.pid).children()}


def test_idle_connections_make_room_for_new_ones(few: Settings, tmp_path: Path) -> None:
    with running_api(few, tmp_path, TEST_CONNECTIONS="40") as api, ExitStack() as stack:
        idle = [stack.enter_context(api.connect()) for _ in range(30)]
        half = [stack.enter_context(api.connect(b"GET /he")) for _ in range(200)]
        for _ in range(10):
            assert api.status("/healthz") == 200
        assert [connection for connection in half if is_ended(connection)]
        (reported, *_) = wait_for(lambda: api.events("connections ended"), "the log line")
        assert reported["for_room"] > 0
        del idle


@pytest.mark.parametrize("limits", [pytest.param("200:200", marks=pytest.mark.long), "1024:1024"])
def test_more_connections_than_open_files_end_no_process(
    few: Settings, tmp_path: Path, token: str, limits: str
) -> None:
    with running_api(few, tmp_path, wrap=open_files(limits)) as api, ExitStack() as stack:
        before = children(api)
        (limited,) = api.events("connections limited")
        assert limited["open_files"] == int(limits.partition(":")[0])
        assert limited["per_process"] < min(limited["open_files"], limited["wanted"])
        for _ in range(1500):
            stack.enter_context(api.connect())
        for _ in range(10):
            assert api.status("/qr/bulk/", **{"X-API-Key": token}) == 200
        assert children(api) == before


def test_a_process_without_open_files_left_goes_on(few: Settings, tmp_path: Path) -> None:
    """The limit on connections is far above that on files, as if the process had leaked some."""
    with (
        running_api(few, tmp_path, wrap=open_files("100:100"), TEST_CONNECTIONS="1000") as api,
        ExitStack() as stack,
    ):
        before = children(api)
        for _ in range(300):
            stack.enter_context(api.connect())
        for _ in range(5):
            assert api.status("/healthz") == 200
        assert children(api) == before
        assert any("no_open_files" in row for row in api.events("connections ended"))


def test_the_soft_limit_is_raised_to_the_hard_one(few: Settings, tmp_path: Path) -> None:
    with running_api(few, tmp_path, wrap=open_files("256:4096")) as api:
        (logged,) = api.events("connections")
        assert (logged["open_files"], logged["per_process"]) == (4096, 1016)
        for pid in children(api):
            assert psutil.Process(pid).rlimit(psutil.RLIMIT_NOFILE) == (4096, 4096)


def test_one_address_has_a_share_of_the_connections(few: Settings, tmp_path: Path) -> None:
    with running_api(few, tmp_path, TEST_CONNECTIONS="80") as api, ExitStack() as stack:
        connect = partial(api.connect, HEALTHY)
        one = [stack.enter_context(connect("127.0.0.2")) for _ in range(20)]
        assert [response_of(connection)[0] for connection in one] == [200] * 20
        more = [stack.enter_context(connect("127.0.0.2")) for _ in range(30)]
        for connection in more:  # each is refused, or takes the place of one that has waited
            wait_for(partial(has_answer_or_end, connection), "an answer or an end")
        left = [connection for connection in [*one, *more] if not is_ended(connection)]
        assert len(left) <= 20
        other = [stack.enter_context(connect("127.0.0.3")) for _ in range(20)]
        assert [response_of(connection)[0] for connection in other] == [200] * 20
        # The trusted proxy is not one client.
        proxy = [stack.enter_context(connect("127.0.0.1")) for _ in range(30)]
        assert [response_of(connection)[0] for connection in proxy] == [200] * 30


def test_behind_a_trusted_proxy_requests_count_for_its_clients(
    settings: Settings, tmp_path: Path, proxy: FaultProxy
) -> None:
    """A hanging S3 keeps the requests in progress: each looks up a key that is unknown."""
    slow = msgspec.structs.replace(settings, s3_endpoint_url=proxy.url, long_polls=60)
    with running_api(slow, tmp_path, TEST_CONNECTIONS="80") as api, ExitStack() as stack:
        proxy.mode = Mode(delay=4)

        def request(number: int, client: str) -> socket.socket:
            key = f"X-API-Key: {unknown_key(number)}\r\nX-Forwarded-For: 1.1.1.1, {client}\r\n"
            head = f"GET /qr/bulk/ HTTP/1.1\r\nHost: a\r\n{key}\r\n"
            return stack.enter_context(api.connect(head.encode()))

        waiting = [request(number, f"2001:db8::{number + 1:x}") for number in range(20)]
        for form in ("2001:db8::ffff", "[2001:db8::fffe]:443", "2001:db8:0:0:1::"):
            status, problem = response_of(request(99, form))
            assert (status, problem["error_code"]) == (503, "busy"), form
        others = [request(100, "2001:db8:0:1::1"), request(101, "198.51.100.7:5000")]
        assert {response_of(connection)[0] for connection in [*waiting, *others]} <= {401, 503}
        proxy.mode = Mode()
        assert response_of(request(102, "2001:db8::1"))[0] == 401


def unknown_key(number: int) -> str:
    token = f"qrmill_{number:012}_{'x' * 32}"
    return token + checksum(token)


def test_health_checks_are_answered_while_all_threads_work(
    few: Settings, tmp_path: Path, proxy: FaultProxy, token: str
) -> None:
    """A hanging S3 keeps the threads at work: Redis does not know the tasks of the requests."""
    slow = msgspec.structs.replace(few, s3_endpoint_url=proxy.url, api_prefix="/api/v1")
    with running_api(slow, tmp_path) as api, ExitStack() as stack:
        assert api.status("/api/v1/qr/bulk/", **{"X-API-Key": token}) == 200
        seen: list[object] = []
        proxy.watch = seen.append
        proxy.mode = Mode(delay=20)
        heads = [
            f"GET /api/v1/qr/bulk/{uuid4()}/ HTTP/1.1\r\nHost: a\r\nX-API-Key: {token}\r\n\r\n"
            for _ in range(64)
        ]
        working = [stack.enter_context(api.connect(head.encode())) for head in heads]
        wait_for(lambda: len(seen) >= 16, "work for all threads")
        for path in ("/healthz", "/healthz/", "/api/v1/healthz", "/healthz?x=1"):
            assert api.status(path) == 200
        assert [connection for connection in working if has_answer_or_end(connection)] == []
        wait_for(lambda: api.status("/readyz") == 503, "a check of S3")
        proxy.mode = Mode()


def test_an_idle_connection_stays_open_for_its_time_and_then_ends(
    few: Settings, tmp_path: Path
) -> None:
    with running_api(few, tmp_path, TEST_IDLE="3") as api:
        with api.connect() as fresh, api.connect(HEALTHY) as used:
            assert response_of(used)[0] == 200
            assert not is_ended(fresh)
            used.settimeout(30)
            used.sendall(HEALTHY)
            assert response_of(used)[0] == 200
            for connection in (fresh, used):
                wait_for(partial(is_ended, connection), "its end")
        assert api.events("connections ended") == []  # nothing is wrong with it


def test_a_stop_waits_for_requests_but_not_for_what_a_client_might_send(
    few: Settings, tmp_path: Path, proxy: FaultProxy
) -> None:
    slow = msgspec.structs.replace(few, s3_endpoint_url=proxy.url)
    with running_api(slow, tmp_path, TEST_IDLE="300") as api, ExitStack() as stack:
        for data in (b"", b"GET /he", HEALTHY):
            stack.enter_context(api.connect(data))
        requested: list[object] = []
        proxy.watch = requested.append
        proxy.mode = Mode(delay=2)
        head = f"GET /qr/bulk/ HTTP/1.1\r\nHost: a\r\nX-API-Key: {unknown_key(1)}\r\n\r\n"
        working = stack.enter_context(api.connect(head.encode()))
        wait_for(lambda: requested, "the request")
        os.kill(api.process.pid, signal.SIGTERM)
        assert response_of(working)[0] == 401
        wait_for(api.process.ended, "gunicorn's end", seconds=20)  # not the 30 s of grace


def test_no_header_of_a_trusted_proxy_changes_the_path(few: Settings, tmp_path: Path) -> None:
    names = ("SCRIPT_NAME", "Script_Name", "PATH_INFO", "Script-Name")
    cases = (
        ("/public/healthz", "/public", 401),
        ("/public/ops/", "/public", 401),
        ("/healthz", "/healthz", 200),
        ("/healthz", "/other", 200),
    )
    with running_api(few, tmp_path) as api:
        for name, (path, value, status) in product(names, cases):
            head = f"GET {path} HTTP/1.1\r\nHost: a\r\n{name}: {value}\r\n\r\n"
            with api.connect(head.encode()) as connection:
                answer = http.client.HTTPResponse(connection)
                answer.begin()
                assert answer.status == status, (name, path, value)


def test_forwarded_headers_of_an_untrusted_peer_are_reported(few: Settings, tmp_path: Path) -> None:
    with running_api(few, tmp_path, FORWARDED_ALLOW_IPS="127.0.0.9") as api:
        for header in ("X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https", "Forwarded: for=a"):
            sent = HEALTHY.replace(b"Host: a", f"Host: a\r\n{header}".encode())
            for source, ignored in (("127.0.0.1", "FORWARDED_ALLOW_IPS"), ("127.0.0.9", None)):
                with api.connect(sent, source) as connection:
                    answer = http.client.HTTPResponse(connection)
                    answer.begin()
                    assert answer.headers["X-Forwarded-Ignored"] == ignored, (header, source)
        (logged,) = api.events("forwarded headers ignored")
        assert (logged["address"], logged["headers"]) == ("127.0.0.1", "X-Forwarded-For")
