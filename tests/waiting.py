"""Polling of a condition until a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(
    look: Callable[[], Found | None], what: str, *, seconds: float = 60, pause: float = 0.02
) -> Found:
    """Call ``look`` until its result is true; return the result.

    Args:
        look: the condition.
        what: description of the condition, for the message of a failure.
        seconds: time after which the test fails.
        pause: seconds between two calls.
    """
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(pause)
    return found
