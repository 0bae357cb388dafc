"""A webhook receiver: an HTTP server on loopback with scripted responses."""

import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from standardwebhooks import Webhook


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes

    def verified(self, secret: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the body after standardwebhooks has verified the signature and the timestamp."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """Responds with the statuses in ``answers``, one per request, and then with 204."""

    def __init__(self, answers: list[int], headers: Mapping[str, str]) -> None:
        self.received: list[Received] = []
        self.hold = threading.Event()  # while cleared, requests get no response
        self.hold.set()
        self._answers = iter(answers)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(self.path, dict(self.headers.items()), body))
                receiver.hold.wait(60)
                self.send_response(next(receiver._answers, 204))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hooks?shop=7"


@contextmanager
def receiving(
    *answers: int,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Receiver]:
    receiver = Receiver([*answers], headers or {})
    if tls is not None:
        receiver.server.socket = tls.wrap_socket(receiver.server.socket, server_side=True)
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.hold.set()
        receiver.server.shutdown()
        receiver.server.server_close()
