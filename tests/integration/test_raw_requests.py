"""Requests that no HTTP client sends, byte by byte to the API under gunicorn."""

import dataclasses
import http.client
import json
import os
import socket
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import httpx2
import msgspec
import pytest

from deploy.embedded import service_parts
from deploy.embedded.ports import free_port
from deploy.embedded.process import start_and_wait
from pipeline.service import Settings
from pipeline.settings import variable
from pipeline.storage.bucket import Bucket
from tests.waiting import wait_for

GTIN = "9506000134352"
FORM = "application/x-www-form-urlencoded"


class Api(NamedTuple):
    """A running gunicorn."""

    port: int
    log: Path
    token: str

    def answer(self, *lines: str, body: bytes = b"", key: str = "") -> tuple[int, str, bytes]:
        """Status, media type and body of the answer to one request, behind which nothing comes."""
        head = [*lines, "Host: localhost", f"X-API-Key: {key}", "Connection: close", "", ""]
        with socket.create_connection(("127.0.0.1", self.port), 30) as connection:
            connection.sendall("\r\n".join(head).encode() + body)
            connection.shutdown(socket.SHUT_WR)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            return answer.status, answer.headers["Content-Type"], answer.read()


@pytest.fixture
def api(settings: Settings, token: str, tmp_path: Path) -> Iterator[Api]:
    values = msgspec.structs.asdict(settings) | {"log_format": "json"}
    environ = {variable(name): str(value) for name, value in values.items() if value is not None}
    port = free_port()
    part = service_parts.api(port, f"http://127.0.0.1:{port}", tmp_path, environ)
    process = start_and_wait(part, tmp_path)
    yield Api(port, process.log, token)
    process.stop()


BROKEN = {
    "no size": b"zz\r\n{}\r\n0\r\n\r\n",
    "no end of a chunk": b"2\r\n{}XX0\r\n\r\n",
    "a trailer that is none": b"2\r\n{}\r\n0\r\nno header\r\n\r\n",
    "breaks off": b"5\r\n{}",
    "no last chunk": b"2\r\n{}\r\n",
}


def test_broken_chunks_are_a_broken_body_with_and_without_a_key(api: Api, bucket: Bucket) -> None:
    chunked = "Transfer-Encoding: chunked"
    for name, body in BROKEN.items():
        lines = ("POST /qr/bulk/ HTTP/1.1", "Content-Type: application/json", chunked)
        status, media_type, answer = api.answer(*lines, body=body, key=api.token)
        assert (status, media_type) == (400, "application/problem+json"), (name, answer)
        assert json.loads(answer)["error_code"] == "short_body"
        lines = ("POST /ops/sign-in HTTP/1.1", f"Content-Type: {FORM}", chunked)
        status, media_type, answer = api.answer(*lines, body=body)
        assert (status, media_type) == (411, "text/html; charset=utf-8"), (name, answer)
        assert b"<h1>411" in answer  # the size of a form has to be known
    assert [*bucket.list_keys("jobs/")] == []


LONG = "x" * 9000
#: Requests that gunicorn refuses itself -> status, `error_code`, code of the envelope. None of the
#: heads ends before the last line of its bytes.
REFUSED = {
    "no request line": (b"hello\r\n\r\n", 400, "malformed_request"),
    "a space in the path": (b"GET /qr/bulk/ a HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    "umlauts in the path": ("GET /qr/ü HTTP/1.1\r\n\r\n".encode(), 400, "malformed_request"),
    "an unknown version": (b"GET / HTTP/9.9\r\n\r\n", 400, "malformed_request"),
    "a method in lower case": (b"get / HTTP/1.1\r\n\r\n", 400, "malformed_request"),
    "a header without a colon": (
        b"GET / HTTP/1.1\r\nX-API-Key %b\r\n\r\n",
        400,
        "malformed_request",
    ),
    "a folded header": (b"GET / HTTP/1.1\r\nA: b\r\n %b\r\n\r\n", 400, "malformed_request"),
    "a blank in a name": (b"GET / HTTP/1.1\r\nX-API-Key %b: 1\r\n\r\n", 400, "malformed_request"),
    "two lengths": (
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        400,
        "malformed_request",
    ),
    "a length of -1": (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "malformed_request"),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "malformed_request"),
    "a long request line": (f"GET /{LONG} HTTP/1.1\r\n\r\n".encode(), 414, "uri_too_long"),
    "a long header": (f"GET / HTTP/1.1\r\nA: {LONG}\r\n\r\n".encode(), 431, "headers_too_large"),
    "many headers": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 101 + b"\r\n", 431, "headers_too_large"),
    "an expectation": (
        b"POST / HTTP/1.1\r\nExpect: 200-ok\r\nContent-Length: 0\r\n\r\n",
        417,
        "expectation_failed",
    ),
    "an unknown transfer coding": (
        b"POST / HTTP/1.1\r\nTransfer-Encoding: br\r\n\r\n",
        501,
        "unsupported_transfer_coding",
    ),
}


def test_what_gunicorn_refuses_is_a_problem_and_shows_no_key(api: Api) -> None:
    """The key stands in the malformed part of some requests, which the log must not repeat."""
    for name, (sent, status, code) in REFUSED.items():
        with socket.create_connection(("127.0.0.1", api.port), 30) as connection:
            connection.sendall(sent.replace(b"%b", api.token.encode()))
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            body = answer.read()
            problem = json.loads(body)
            assert (answer.status, problem["error_code"]) == (status, code), (name, problem)
            assert connection.recv(1) == b"", name  # the server has closed the connection
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert (int(answer.headers["Content-Length"]), answer.will_close) == (len(body), True)
        assert problem["instance"] == answer.headers["X-Request-ID"]
        envelope = {"code": "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR", "status": status}
        assert problem["error"] == envelope | {"message": problem["detail"], "details": None}
        assert (problem["status"], problem["retryable"]) == (status, False)
        assert datetime.fromisoformat(problem["timestamp"]).utcoffset() == timedelta()
        assert api.token not in body.decode()
        wait_for(partial(_is_logged, api.log, "malformed request", problem["instance"]), name)
    log = api.log.read_text()
    assert api.token not in log
    assert "Traceback" not in log
    assert api.answer("GET /qr/bulk/ HTTP/1.1", key=api.token)[0] == 200


@pytest.mark.parametrize("name", ["no size", "no end of a chunk", "a trailer that is none"])
def test_a_broken_body_that_nobody_reads_gets_one_response(api: Api, name: str) -> None:
    """A second response would be taken for that of the next request on the connection."""
    head = b"POST /qr/bulk/ HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", api.port), 30) as connection:
        connection.sendall(head + BROKEN[name])
        received = b"".join(iter(partial(connection.recv, 65536), b""))
    assert received.startswith(b"HTTP/1.1 401 ")
    assert received.count(b"HTTP/1.1") == 1


@pytest.fixture
def failing(tmp_path: Path) -> Iterator[Api]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = (
        *(sys.executable, "-m", "gunicorn", "--worker-class", "api.gunicorn_worker.ProblemWorker"),
        *("--bind", f"127.0.0.1:{port}", "tests.failing_application:application"),
    )
    part = dataclasses.replace(
        service_parts.api(port, url, Path(__file__).parents[2], os.environ),
        command=command,
        new_probe=lambda: lambda: service_parts._api_responds(url),
    )
    process = start_and_wait(part, tmp_path)
    yield Api(port, process.log, "")
    process.stop()


@pytest.mark.parametrize("path", ["/raises", "/header"])
def test_an_application_that_fails_under_gunicorn_is_a_problem(failing: Api, path: str) -> None:
    status, media_type, body = failing.answer(f"GET {path} HTTP/1.1")
    assert (status, media_type) == (500, "application/problem+json")
    problem = json.loads(body)
    assert (problem["error_code"], problem["retryable"]) == ("internal", False)
    assert problem["error"] == {
        "code": "INTERNAL_ERROR",
        "message": problem["detail"],
        "status": 500,
        "details": None,
    }
    assert b"words" not in body
    wait_for(partial(_is_logged, failing.log, "unexpected error", problem["instance"]), "its line")


def _is_logged(log: Path, event: str, request_id: str) -> bool:
    return any(event in line and request_id in line for line in log.read_text().splitlines())


def test_the_method_of_websockets_is_one_that_is_not_allowed(api: Api) -> None:
    def logged(request_id: str) -> bool:
        return any(
            request_id in line and '"WEBSOCKET"' in line
            for line in api.log.read_text().splitlines()
        )

    for path, key, expected in (
        ("/qr/bulk/", api.token, (405, "method_not_allowed")),
        ("/qr/bulk/", "", (401, "unauthorized")),
        ("/healthz", "", (405, "method_not_allowed")),
        ("/nothing/", api.token, (404, "not_found")),
    ):
        status, media_type, answer = api.answer(f"WEBSOCKET {path} HTTP/1.1", key=key)
        assert media_type == "application/problem+json"
        problem = json.loads(answer)
        assert (status, problem["error_code"]) == expected
        wait_for(partial(logged, problem["instance"]), "its line")


def test_the_longest_callback_url_fits_into_the_query_of_a_csv_body(api: Api) -> None:
    url = "https://hooks.example.com/?" + "(" * (2000 - 27)
    query = urlencode({"gtin": GTIN, "dry_run": "true", "callback_url": url})
    assert len(query) > 5900
    headers = {"X-API-Key": api.token, "Content-Type": "text/csv"}
    address = f"http://127.0.0.1:{api.port}"
    with httpx2.Client(base_url=address, headers=headers, trust_env=False) as client:
        assert client.post("/keys/self/webhook-secret/").status_code == 201
        answer = client.post(f"/qr/bulk/?{query}", content=b"lot\nA\n")
    assert (answer.status_code, answer.json()["errors"]) == (200, [])
