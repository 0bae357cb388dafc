"""``python -m tests.benchmarks [--quick] [part ...]``: measure, and write one report.

Tables go to the screen, all figures of the service to ``test-output/bench.json``, and, when jobs
were measured, a chart to ``test-output/bench.svg``.
"""

import argparse
import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from tests.benchmarks.chart import draw
from tests.benchmarks.report import Report
from tests.benchmarks.scene import running_scene
from tests.environment_proxies import exempt_loopback

#: Parts that share one running stack, and the modules with their ``measure(scene, report)``.
SHARED = {
    "job": "job",
    "throughput": "throughput",
    "accept": "accept",
    "stages": "stages",
    "demand": "demand",
    "chunks": "chunk_size",
}
#: Parts with a stack of their own: ``main(report)``.
OWN = {
    "memory": "peaks",
    "requests": "wire",
    "pollers": "pollers",
    "verification": "verification",
    "fairness": "fairness",
}
#: Parts that print for themselves: ``main()``.
RENDERER = {"render": "render", "deflate": "deflate", "render-memory": "memory"}
OUTPUT = Path("test-output")


def main() -> None:
    """Run the parts that the command line names, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument(
        "parts", nargs="*", metavar="part", help=", ".join([*SHARED, *OWN, *RENDERER])
    )
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    options = parser.parse_args()
    exempt_loopback(os.environ)
    parts = options.parts or [*SHARED, *OWN, *RENDERER]
    if unknown := set(parts) - {*SHARED, *OWN, *RENDERER}:
        parser.error(f"no part {', '.join(sorted(unknown))}")
    report = Report(quick=options.quick)
    _measure_shared([SHARED[part] for part in parts if part in SHARED], report)
    for part in parts:
        if part in OWN:
            _module(OWN[part]).main(report)
    for part in parts:
        if part in RENDERER:
            report.say(f"\n== {part}")
            _module(RENDERER[part]).main()
    figures = report.finish(OUTPUT / "bench.json")
    if "job" in figures:
        (OUTPUT / "bench.svg").write_text(draw(figures), "utf-8")


def _measure_shared(modules: list[str], report: Report) -> None:
    if modules:
        with tempfile.TemporaryDirectory() as directory, running_scene(Path(directory)) as scene:
            for module in modules:
                _module(module).measure(scene, report)


def _module(name: str) -> Any:  # noqa: ANN401 - a module
    return import_module(f"tests.benchmarks.{name}")


if __name__ == "__main__":
    main()
