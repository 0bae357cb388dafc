"""A process whose Python finds this at its start has a clock that is wrong by what a file says.

libfaketime was tried first: with it, ``time.sleep`` of Python 3.11 and newer raises EINVAL, as it
sleeps until a time of the monotonic clock. Here the monotonic clock, and what sleeps by it, stay as
they are: a step changes the time of day alone.
"""

import datetime as dt
import os
import time
from pathlib import Path
from typing import Self

_OFFSET = Path(os.environ["FAULTS_CLOCK_OFFSET"])
_time, _time_ns = time.time, time.time_ns


def _seconds() -> int:
    return int(_OFFSET.read_text("ascii"))


class _LikeTheRealOne(type):
    """What C code makes is an instance too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return any(
            kind.__module__ == "datetime" and kind.__name__ == "datetime"
            for kind in type(instance).__mro__
        )


class _Shifted(dt.datetime, metaclass=_LikeTheRealOne):
    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Self:
        return cls.fromtimestamp(_time() + _seconds(), tz)

    @classmethod
    def utcnow(cls) -> Self:
        return cls.now(dt.UTC).replace(tzinfo=None)


time.time = lambda: _time() + _seconds()
time.time_ns = lambda: _time_ns() + _seconds() * 1_000_000_000
dt.datetime = _Shifted  # type: ignore[misc] # the fault itself
