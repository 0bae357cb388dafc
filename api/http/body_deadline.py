"""Deadline of request bodies, so that a client which sends a byte now and then holds no thread."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Seconds that a request body may take to arrive.
UPLOAD_SECONDS = 60.0
#: Seconds between two checks of the bodies that are arriving.
_PAUSE = 1.0


class BodyDeadline:
    """Ends request bodies that take too long to arrive.

    One thread watches all bodies of a process. A timer per body would start a thread each, which
    costs a small request a tenth of its time.

    Args:
        seconds: that a body may take; one more may pass before it is ended.
    """

    def __init__(self, seconds: float = UPLOAD_SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._begun: dict[socket.socket, float] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def enforced(self, connection: socket.socket) -> Iterator[None]:
        """Stop receiving from ``connection`` if the block takes too long."""
        with self._lock:
            self._begun[connection] = time.monotonic()
            if self._thread is None:  # not earlier: gunicorn forks
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
                    with suppress(OSError):  # it has been closed
                        connection.shutdown(socket.SHUT_RD)
