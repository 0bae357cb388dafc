"""Waiting for a condition, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(
    look: Callable[[], Found | None], what: str, *, seconds: float = 60, pause: float = 0.02
) -> Found:
    """Return what ``look`` returns as soon as that is true; fail when ``seconds`` have passed.

    ``pause`` is what lies between two looks, in seconds.
    """
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(pause)
    return found
