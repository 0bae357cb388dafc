"""Log line about connections that the service ended, at most one per period."""

from collections import Counter

import structlog

log = structlog.get_logger(__name__)

#: Seconds between two log lines of a process.
_PERIOD = 10.0


class CutReport:
    """Counts connections that the service ended before their clients did."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._due = 0.0

    def count(self, reason: str) -> None:
        """Count a connection; ``reason`` is a field of the log line."""
        self._counts[reason] += 1

    def write(self, now: float) -> None:
        """Log the counts since the last line, unless it was written a moment ago."""
        if self._counts and now >= self._due:
            log.warning("connections ended", **self._counts)
            self._counts.clear()
            self._due = now + _PERIOD
