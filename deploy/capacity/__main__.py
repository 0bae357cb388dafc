"""``python -m deploy.capacity``: print what the model says, and write the page with ``--write``.

It reads the report of ``make bench``; without one, what the page was last made from.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from deploy.capacity import curves, page, sizing
from deploy.capacity.chart import draw
from deploy.capacity.check import WANTED, compare
from deploy.capacity.measured import Demand, Measured, MeasuredError, demand_of, read

_HERE = Path(__file__).parent
_REPORT = Path("test-output/bench.json")
_RATES = (10, 1000, 100_000)  # jobs a minute
_JOBS = 2000


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what the command line says; exit status 1 if the model is further off than it may be."""
    options = _parser().parse_args(arguments)
    try:
        measured = read(_source(options.report, options.page.parent))
        demand = demand_of(measured)
        compared = compare(measured, demand)
        sizes = [
            sizing.size(measured, demand, rate, options.s3_ms, options.jobs) for rate in _RATES
        ]
        walls = sizing.walls(measured, demand, options.s3_ms)
        figures = page.figures_of(measured, demand, compared, sizes, walls)
        print(figures)  # noqa: T201 - what the command is for
        if options.write:
            _write(options, measured, demand, figures)
    except (MeasuredError, page.PageError) as error:
        sys.exit(f"capacity: {error}")
    if any(abs(each.error) >= WANTED for each in compared):
        sys.exit(f"capacity: the model is off by {WANTED:.0%} or more")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.capacity", description=__doc__)
    parser.add_argument("--report", type=Path, help=f"of make bench; default {_REPORT}")
    parser.add_argument("--s3-ms", type=float, default=sizing.S3_MS, help="of an S3 elsewhere")
    parser.add_argument("--jobs", type=int, default=_JOBS, help="simulated for each figure")
    parser.add_argument("--write", action="store_true", help="write the page and its charts")
    parser.add_argument("--page", type=Path, default=_HERE / "README.md", help="the page")
    return parser


def _source(report: Path | None, directory: Path) -> Path:
    kept = directory / "measured.json"
    return report or (_REPORT if _REPORT.exists() or not kept.exists() else kept)


def _write(options: argparse.Namespace, measured: Measured, demand: Demand, figures: str) -> None:
    directory = options.page.parent
    page.insert(options.page, figures)
    kept = msgspec.json.format(msgspec.json.encode(measured), indent=2)
    (directory / "measured.json").write_bytes(kept + b"\n")
    where = f"modelled from {measured.machine}, {measured.begun[:10]}"
    machine = curves.machine_curves(measured, demand, options.jobs)
    title = f"One machine of {measured.cores} cores that runs everything"
    (directory / "machine.svg").write_text(draw(title, where, machine), "utf-8")
    fleet = curves.fleet_curves(demand, options.s3_ms, options.jobs)
    title = f"A core a process, S3 at {options.s3_ms:g} ms"
    (directory / "fleet.svg").write_text(draw(title, where, fleet), "utf-8")


if __name__ == "__main__":
    main()
