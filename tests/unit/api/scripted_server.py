"""A real HTTP server on loopback that answers as a script says, or breaks off."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from api.schemas.tasks import TaskStatus

TASK = "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"
#: A task as a page of tasks has it.
LISTED_TASK = {
    "task_id": TASK,
    "status": "failed",
    "gtin": "9506000134352",
    "format": "svg",
    "size": 400,
    "processed_items": 0,
    "total_items": 2,
    "error": "Why.",
    "error_code": "cancelled",
    "created_at": "2026-11-23T10:00:00+00:00",
    "finished_at": None,
    "key": "shop",
    "poll_url": "/",
}


class Request(NamedTuple):
    method: str
    path: str
    headers: Message
    body: bytes


class Answer(NamedTuple):
    """What a request gets.

    ``cut`` is how many bytes of the body are sent before the connection is closed; None for all.
    ``silent`` closes it without an answer.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    cut: int | None = None
    silent: bool = False


Script = Callable[[Request], Answer]
LOST = Answer(silent=True)


class ScriptedServer(ThreadingHTTPServer):
    """Notes every request, and asks its script for the answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Request] = []
        self.script: Script = lambda _: Answer(500)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer_in_turn(self, *answers: Answer) -> None:
        """Give each request the next answer."""
        left = iter(answers)
        self.script = lambda _: next(left)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # a body follows its head at once
    server: ScriptedServer

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        request = Request(self.command, self.path, self.headers, self.rfile.read(length))
        self.server.requests.append(request)
        answer = self.server.script(request)
        if answer.silent:
            self._break_off()
            return
        self.send_response_only(answer.status)  # no Date but the script's
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 304:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body[: answer.cut])
        if answer.cut is not None:
            self._break_off()

    do_GET = do_POST = do_DELETE = _handle  # noqa: N815 - the base class's names

    def _break_off(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        """Say nothing: the tests look at ``requests``."""


@contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def as_json(document: Any, status: int = 200, **headers: str) -> Answer:  # noqa: ANN401 - any JSON
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(document).encode(), named)


def problem(
    status: int,
    code: str,
    errors: object = None,
    *,
    retryable: bool | None = None,
    **headers: str,
) -> Answer:
    """A problem; without ``retryable`` like one of release 0.2.0."""
    document = {
        "type": f"urn:qrmill:problem:{code}",
        "title": code,
        "status": status,
        "detail": "Words of the API.",
        "instance": "1",
        "error_code": code,
        "errors": errors,
    } | ({} if retryable is None else {"retryable": retryable, "error": {}, "timestamp": ""})
    return as_json(document, status, **headers)


def accepted(**headers: str) -> Answer:
    document = {
        "task_id": TASK,
        "status": "pending",
        "items": 2,
        "poll_url": f"/qr/bulk/{TASK}/",
    }
    return as_json(document, 202, **headers)


def task(status: str, **fields: object) -> dict[str, object]:
    """Return the answer to a poll."""
    known: dict[str, object] = dict.fromkeys(TaskStatus.__struct_fields__) | {
        "task_id": TASK,
        "status": status,
        "download_url": None,
        "expires_at": None,
        "items": None,
        "error": None,
        "error_code": None,
        "processed_items": 0,
        "total_items": 2,
        "progress_percent": 0.0,
        "chunks": {"total": 1, "staged": 0, "failed": 0},
        "created_at": "2026-11-23T10:00:00+00:00",
        "finished_at": None,
        "bundle": None,
    }
    return known | fields
