"""Deadlines of a client's connection, so that a slow client holds neither threads nor connections.

``api.connections`` enforces them where no thread waits for the client. :class:`BodyDeadline`
enforces the deadline of a body that a thread receives.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

#: Seconds between two checks of the bodies that are being received.
_PAUSE = 1.0


class Deadlines(NamedTuple):
    """Time that a client has for each phase of a connection, in seconds.

    Attributes:
        idle: until the first byte of the next request; the setting ``QRMILL_KEEP_ALIVE``.
        head: from the first byte of a request to the end of its header fields.
        body: from the end of the header fields to the end of the body.
        response: to receive the response.
        closing: to close the connection after the service has closed its side.
        unread: to send the rest of a body that was rejected unread. A thread waits for this rest.
    """

    idle: float = 75.0
    head: float = 20.0
    body: float = 60.0
    response: float = 60.0
    closing: float = 2.0
    unread: float = 0.1


class BodyDeadline:
    """Stops receiving request bodies that take too long to arrive.

    One thread watches all bodies of a process. A timer per body would start one thread per request,
    which adds a tenth to the duration of a small request.

    Args:
        seconds: time within which a body must arrive. The check may be up to one second late.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._begun: dict[socket.socket, float] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def enforced(self, connection: socket.socket) -> Iterator[None]:
        """Stop receiving from ``connection`` if the ``with`` block exceeds the deadline."""
        with self._lock:
            self._begun[connection] = time.monotonic()
            if self._thread is None:  # not in __init__: a thread does not survive gunicorn's fork
                self._thread = threading.Thread(target=self._end_late_bodies, daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._begun.pop(connection, None)

    def _end_late_bodies(self) -> None:
        while True:
            time.sleep(min(_PAUSE, self._seconds))
            with self._lock:
                latest = time.monotonic() - self._seconds
                for connection in [each for each, begun in self._begun.items() if begun < latest]:
                    del self._begun[connection]
                    with suppress(OSError):  # the client has closed the connection
                        connection.shutdown(socket.SHUT_RD)
