"""Peak memory of every process, and the time that jobs take, from 1,000 to 100,000 items.

On a stack of its own with the limit of items raised. The job of 5000 comes first, in processes that
have done nothing before.
"""

import tempfile
from pathlib import Path

from tests.benchmarks.parts import peak_megabytes, stopped
from tests.benchmarks.report import Report, median
from tests.benchmarks.scene import Scene, request_body, run_job, running_scene

_USUAL, _LARGE = 5000, 100_000
_TIMED = (1000, 5000, 20_000, _LARGE)
_WORKERS = ("worker-1", "worker-2")
_PARTS = ("api", *_WORKERS)
_MOST_MB, _MOST_GROWTH = 200, 1.3
#: Seconds an item of the largest job, times that of 5000 items.
_MOST_BEND = 1.15


def main(report: Report) -> None:
    """Run the jobs, and read the kernel's marks after the usual one and after the largest."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running_scene(Path(directory), QRMILL_MAX_ITEMS=str(_LARGE)) as scene,
    ):
        client = scene.connect()
        for idle in _WORKERS:  # so that either of them has bundled one
            with stopped(scene.ready, idle):
                run_job(client, request_body(_USUAL, "svg"))
        usual = _peaks(scene)
        seconds = {}
        for items in _TIMED:
            body = request_body(items, "svg")
            times = 1 if items > _USUAL else 3
            seconds[items] = median([run_job(client, body).seconds for _ in range(times)])
        large = _peaks(scene)
    _tell(report, usual, large, seconds)


def _peaks(scene: Scene) -> dict[str, float]:
    return {part: peak_megabytes(scene.ready, part) for part in _PARTS}


def _tell(
    report: Report, usual: dict[str, float], large: dict[str, float], seconds: dict[int, float]
) -> None:
    rows = [(part, usual[part], large[part], large[part] / usual[part]) for part in _PARTS]
    columns = ("process", f"MB, {_USUAL:,} items", f"MB, {_LARGE:,} items", "growth")
    report.table("Peak resident memory (each worker renders and bundles)", columns, rows)
    rates = [(f"{items:,}", taken, 1e6 * taken / items) for items, taken in seconds.items()]
    report.table("Time by size (SVG)", ("items", "s", "µs an item"), rates)
    report.target("peak memory, 5000 items", max(usual.values()), "MB", most=_MOST_MB)
    growth = max(large[part] / usual[part] for part in _PARTS)
    report.target("its growth at 100,000 items", growth, "times", most=_MOST_GROWTH)
    bend = (seconds[_LARGE] / _LARGE) / (seconds[_USUAL] / _USUAL)
    report.target("time an item at 100,000 by that at 5000", bend, "", most=_MOST_BEND)
    report.figures["memory"] = {"megabytes": {"5000": usual, "100000": large}, "seconds": seconds}
