"""How long the steps of a chunk or a bundle take."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Piece = TypeVar("Piece")


class Stopwatch:
    """Runs from when it is made, for one thread.

    Attributes:
        begun_at: when that was, in milliseconds since the epoch by this machine's clock.
    """

    def __init__(self) -> None:
        self.begun_at = time.time_ns() // 1_000_000
        self._lap_began = time.perf_counter()
        self._waited = 0.0

    def lap(self) -> float:
        """Return the milliseconds since the last lap ended, and begin the next."""
        now = time.perf_counter()
        took, self._lap_began = now - self._lap_began, now
        return _milliseconds(took)

    def waiting_for(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield ``pieces`` again, and note how long each took to come."""
        source = iter(pieces)
        while True:
            begun = time.perf_counter()
            try:
                piece = next(source)
            except StopIteration:
                return
            finally:
                self._waited += time.perf_counter() - begun
            yield piece

    @property
    def waited(self) -> float:
        """Milliseconds that pieces took to come."""
        return _milliseconds(self._waited)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
