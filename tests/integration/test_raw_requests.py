"""Requests that no HTTP client sends, byte by byte to the API under gunicorn."""

import http.client
import json
import socket
from collections.abc import Iterator
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
