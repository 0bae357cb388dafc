"""Slots for large request bodies: a limit on the bodies that a process validates at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import falcon

from api.http.problems import ProblemError

#: Number of slots per process, size in bytes up to which a body counts as small, and seconds that a
#: request with a large body waits for a slot. A process has far more threads than slots, because
#: long polls occupy threads.
_SLOTS, _SMALL, _PATIENCE = 16, 64 * 1024, 5


class LargeBodies:
    """The slots of one process for large request bodies."""

    def __init__(self) -> None:
        self._slots = threading.BoundedSemaphore(_SLOTS)

    @contextmanager
    def slot(self, req: falcon.Request) -> Iterator[None]:
        """Hold a slot during the ``with`` block; a request with a small body needs none.

        A compressed body counts as large, because its decompressed size is not known in advance.

        Raises:
            ProblemError: 503 if no slot became free in time.
        """
        length = req.content_length
        compressed = req.get_header("Content-Encoding") is not None
        if length is not None and length <= _SMALL and not compressed:
            yield
            return
        if not self._slots.acquire(timeout=_PATIENCE):
            raise ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "busy",
                "Too many large requests are being received at once; nothing was accepted. Send "
                f"the request again in {_PATIENCE} s.",
                headers={"Retry-After": str(_PATIENCE)},
            )
        try:
            yield
        finally:
            self._slots.release()
