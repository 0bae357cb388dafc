"""An HTTP/1.1 connection that costs the load generator next to nothing.

The usual clients take a millisecond of CPU a request, which on the same two cores would be measured
as the service's.
"""

import json
import socket
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

_TIMEOUT = 600.0  # seconds
#: Seconds after which a connection is made anew: gunicorn closes the idle ones.
_KEPT = 1.0


class Answer(NamedTuple):
    """An answer; ``waited`` tells that it was held back as the request preferred (RFC 7240)."""

    status: int
    body: bytes
    waited: bool

    def json(self) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.body)


class Connection:
    """One connection, kept open. ``request`` wants an answer that says how long it is."""

    def __init__(self, url: str, key: str = "") -> None:
        address = urlsplit(url)
        self._address = (address.hostname, address.port)
        self._head = f"Host: {address.netloc}\r\nX-API-Key: {key}\r\n"
        self._idle_since = 0.0
        self._connect()

    def post(self, path: str, body: bytes) -> Any:  # noqa: ANN401 - any JSON
        answer = self.request("POST", path, body, "Content-Type: application/json\r\n")
        assert answer.status == 202, answer
        return answer.json()

    def get(self, path: str, headers: str = "") -> Any:  # noqa: ANN401 - any JSON
        answer = self.request("GET", path, headers=headers)
        assert answer.status == 200, answer
        return answer.json()

    def request(self, method: str, path: str, body: bytes = b"", headers: str = "") -> Answer:
        if time.monotonic() > self._idle_since + _KEPT:
            self.close()
            self._connect()
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        self._socket.sendall(
            f"{method} {path} HTTP/1.1\r\n{self._head}{headers}{length}\r\n".encode() + body
        )
        status = int(self._reader.readline().split()[1])
        length_of_answer, waited = 0, False
        while (line := self._reader.readline()) not in {b"\r\n", b""}:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length_of_answer = int(value)
            waited |= name.lower() == b"preference-applied"
        answer = Answer(status, self._reader.read(length_of_answer), waited)
        self._idle_since = time.monotonic()
        return answer

    def _connect(self) -> None:
        self._socket = socket.create_connection(self._address, _TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = self._socket.makefile("rb")
        self._idle_since = time.monotonic()

    def close(self) -> None:
        self._reader.close()
        self._socket.close()
