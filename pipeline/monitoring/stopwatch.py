"""Stopwatch for the steps of a chunk or a bundle."""

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Piece = TypeVar("Piece")


class Stopwatch:
    """Stopwatch that runs from its creation; not thread-safe.

    Attributes:
        begun_at: time of creation by this machine's clock, in milliseconds since the epoch.
    """

    def __init__(self) -> None:
        self.begun_at = time.time_ns() // 1_000_000
        self._began = self._lap_began = time.perf_counter()
        self._waited = 0.0

    def lap(self) -> float:
        """Return the milliseconds since the last lap ended, and begin a new lap."""
        now = time.perf_counter()
        took, self._lap_began = now - self._lap_began, now
        return _milliseconds(took)

    def waiting_for(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield ``pieces`` unchanged, and add up the time spent waiting for them."""
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
    def elapsed(self) -> float:
        """Milliseconds since the stopwatch was created."""
        return _milliseconds(time.perf_counter() - self._began)

    @property
    def waited(self) -> float:
        """Total milliseconds spent waiting for pieces."""
        return _milliseconds(self._waited)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
