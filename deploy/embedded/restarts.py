"""When a part that died is started again, and when that is given up. Pure: told the time."""

#: Deaths within :data:`WINDOW` seconds that end everything.
LIMIT = 5
WINDOW = 60.0
_FIRST_DELAY = 0.25
_LONGEST_DELAY = 10.0


class Deaths:
    """The deaths of one part in the last minute. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._times: list[float] = []

    def add(self, now: float) -> None:
        """Note a death at ``now``."""
        self._times = [time for time in self._times if now - time < WINDOW] + [now]

    def too_many(self) -> bool:
        """Return whether the part has died so often that starting it again helps nobody."""
        return len(self._times) >= LIMIT

    def delay(self) -> float:
        """Return the seconds to wait before the next start: doubled with each death."""
        return float(min(_FIRST_DELAY * 2 ** (len(self._times) - 1), _LONGEST_DELAY))
