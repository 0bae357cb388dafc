"""Restart policy of a process that died: exponential backoff, and a limit of deaths."""

#: Number of deaths within :data:`WINDOW` seconds after which the whole stack stops.
LIMIT = 5
WINDOW = 60.0
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 10.0


class Deaths:
    """Deaths of one process in the last minute.

    Times are in seconds of a monotonic clock. The caller passes the current time in.
    """

    def __init__(self) -> None:
        self._times: list[float] = []

    def add(self, now: float) -> None:
        """Record a death at ``now``."""
        self._times = [time for time in self._times if now - time < WINDOW] + [now]

    def too_many(self) -> bool:
        """Return whether the process has died so often that another restart is pointless."""
        return len(self._times) >= LIMIT

    def delay(self) -> float:
        """Return the seconds until the next start: 0.25, doubled with each death, at most 10."""
        return float(min(_FIRST_DELAY * 2 ** (len(self._times) - 1), _LONGEST_DELAY))
