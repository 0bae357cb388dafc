"""Deadline of request bodies, so that a client that sends slowly cannot occupy a thread."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Time in seconds within which a request body must arrive.
UPLOAD_SECONDS = 60.0
#: Seconds between two checks of the bodies that are being received.
_PAUSE = 1.0


class BodyDeadline:
    """Stops receiving request bodies that take too long to arrive.

    One thread watches all bodies of a process. A timer per body would start one thread per request,
    which adds a tenth to the duration of a small request.

    Args:
        seconds: time within which a body must arrive. The check may be up to one second late.
    """

    def __init__(self, seconds: float = UPLOAD_SECONDS) -> None:
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
