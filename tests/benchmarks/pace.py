"""How fast this machine is while it measures, beside the one for which targets were set in time.

Machines that are rented run at half their speed one day and not the next. A target in milliseconds
says little then, unless it is said how long a known piece of work takes meanwhile: a PNG of 400 px
by segno, which is pure Python, as what a request costs mostly is.
"""

import statistics
import time

from tests.benchmarks.libraries import Segno

#: Milliseconds of that piece of work on the two-core machine for which the targets were set.
_THERE = 8.8
_TEXT = "https://id.gs1.org/01/09506000134352/10/LOT-7/21/SER00000001?17=271231"
_TIMES = 15


class Pace:
    """Looks at the pace between measurements, with nothing else to do."""

    def __init__(self) -> None:
        self._took: list[float] = []

    def look(self) -> None:
        """Take a sample, which lasts a fraction of a second."""
        for _ in range(_TIMES):
            begun = time.perf_counter()
            Segno.png(_TEXT, 400)
            self._took.append(1000 * (time.perf_counter() - begun))

    @property
    def slowness(self) -> float:
        """Times as long as there; the median of all samples, 1 without any."""
        return statistics.median(self._took) / _THERE if self._took else 1.0
