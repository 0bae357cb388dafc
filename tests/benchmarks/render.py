"""Microseconds an item, beside other libraries.

All contenders take turns in one run, so that whatever else the machine does meets them alike. The
other libraries draw modules of a whole number of pixels, like this renderer, but none of them
fills an image to an exact size.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from render.chunk import render_chunk
from render.image import RenderOptions
from render.qr.encoding import encode
from tests.benchmarks import libraries
from tests.benchmarks.uris import uris

ROUNDS = 15
CHUNKS = (1, 10, 50, 250, 1000)
TASKS = ("encode", "svg", "png400", "png2000")
_SECONDS_A_TURN = 0.05

Work = Callable[[list[str]], object]


class Contender(NamedTuple):
    """What is measured.

    Attributes:
        name: the library, and for this renderer the chunk size.
        tasks: a function of a list of URIs for each task that it can do.
        chunk: how many URIs a call gets.
    """

    name: str
    tasks: dict[str, Work]
    chunk: int


def main() -> None:
    """Measure and print medians and ratios."""
    contenders = [Contender(f"qrmill, chunk {n}", _our_tasks(), n) for n in CHUNKS]
    contenders += [
        Contender(library.__name__, _tasks_of(library), 1) for library in libraries.installed()
    ]
    items = uris(max(CHUNKS))
    medians = _medians(contenders, items)
    _print_table("µs an item", contenders, medians, "{:.1f}")
    ours = medians["qrmill, chunk 250"]
    ratios = {
        name: {task: figures[task] / ours[task] for task in figures}
        for name, figures in medians.items()
    }
    _print_table("times qrmill's at chunk 250", contenders, ratios, "{:.2f}")


def _our_tasks() -> dict[str, Work]:
    return {
        "encode": lambda items: list(encode([item.encode() for item in items], "M")),
        "svg": lambda items: render_chunk(items, RenderOptions("svg", 400)),
        "png400": lambda items: render_chunk(items, RenderOptions("png", 400)),
        "png2000": lambda items: render_chunk(items, RenderOptions("png", 2000)),
    }


def _tasks_of(library: Any) -> dict[str, Work]:  # noqa: ANN401 - a class of tests.benchmarks.libraries
    """Return the tasks of a library that renders one by one."""
    tasks: dict[str, Work] = {"encode": lambda items: [library.encode(item) for item in items]}
    if hasattr(library, "svg"):
        tasks["svg"] = lambda items: [library.svg(item) for item in items]
        tasks["png400"] = lambda items: [library.png(item, 400) for item in items]
        tasks["png2000"] = lambda items: [library.png(item, 2000) for item in items]
    return tasks


def _medians(contenders: list[Contender], items: list[str]) -> dict[str, dict[str, float]]:
    """Return the median of each contender's µs an item by task."""
    turns = [
        (contender, task, work, _calls(work, items[: contender.chunk]))
        for contender in contenders
        for task, work in contender.tasks.items()
    ]
    seconds: dict[tuple[str, str], list[float]] = {}
    for number in range(ROUNDS):
        for contender, task, work, calls in turns:
            start = number * 7 % (len(items) - contender.chunk + 1)
            chunk = items[start : start + contender.chunk]
            took = _time(work, chunk, calls) / len(chunk)
            seconds.setdefault((contender.name, task), []).append(took)
    medians: dict[str, dict[str, float]] = {}
    for (name, task), samples in seconds.items():
        medians.setdefault(name, {})[task] = 1e6 * statistics.median(samples)
    return medians


def _calls(work: Work, chunk: list[str]) -> int:
    """Return how many calls fill a turn; the first call, which builds tables, does not count."""
    work(chunk)
    return max(1, round(_SECONDS_A_TURN / _time(work, chunk, 1)))


def _time(work: Work, chunk: list[str], calls: int) -> float:
    """Return the seconds that a call takes, as a mean of some calls."""
    start = time.perf_counter()
    for _ in range(calls):
        work(chunk)
    return (time.perf_counter() - start) / calls


def _print_table(
    title: str,
    contenders: list[Contender],
    figures: dict[str, dict[str, float]],
    number: str,
) -> None:
    print(f"\n{title:30}" + "".join(f"{task:>12}" for task in TASKS))
    for contender in contenders:
        row = figures[contender.name]
        cells = (number.format(row[task]) if task in row else "-" for task in TASKS)
        print(f"{contender.name:30}" + "".join(f"{cell:>12}" for cell in cells))
