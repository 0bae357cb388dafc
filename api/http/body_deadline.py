"""How long a body may take to arrive; a client that sends a byte now and then holds a thread."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Seconds between two looks at the bodies that are arriving.
_PAUSE = 1.0


class Arrivals:
    """Ends bodies that take too long.

    One thread looks after all bodies of a process: a timer each would be a new thread each, and
    starting one takes a small request a tenth of its time.

    Args:
        longest: seconds that a body may take; up to a second more is not noticed.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._lock = threading.Lock()
        self._begun: dict[socket.socket, float] = {}
        self._watch: threading.Thread | None = None

    @contextmanager
    def arriving(self, connection: socket.socket) -> Iterator[None]:
        """Let nothing more be received from ``connection`` if the block takes too long."""
        with self._lock:
            self._begun[connection] = time.monotonic()
            if self._watch is None:  # not before: gunicorn forks
                self._watch = threading.Thread(target=self._end_late_ones, daemon=True)
                self._watch.start()
        try:
            yield
        finally:
            with self._lock:
                self._begun.pop(connection, None)

    def _end_late_ones(self) -> None:
        while True:
            time.sleep(min(_PAUSE, self._longest))
            with self._lock:
                latest = time.monotonic() - self._longest
                for connection in [each for each, begun in self._begun.items() if begun < latest]:
                    del self._begun[connection]
                    with suppress(OSError):  # it has been closed
                        connection.shutdown(socket.SHUT_RD)
