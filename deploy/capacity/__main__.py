"""Print the figures of the capacity model; with ``--write``, write them into the page.

The input is the report of ``make bench``. If there is none, the input is the report from which the
page was last written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from deploy.capacity import curves, page, sizing
from deploy.capacity.chart import draw
from deploy.capacity.check import MAX_ERROR, compare
from deploy.capacity.measured import Demand, Measured, MeasuredError, demand_of, read

_HERE = Path(__file__).parent
_REPORT = Path("test-output/bench.json")
_RATES = (10, 1000, 100_000)  # jobs a minute
_JOBS = 2000


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the exit status is 1 if the error of the model is too large."""
    options = _parser().parse_args(arguments)
    try:
        measured = read(_source(options.report, options.page.parent))
        demand = demand_of(measured)
        compared = compare(measured, demand)
        sizes = [
            sizing.size(measured, demand, rate, options.s3_ms, options.jobs) for rate in _RATES
        ]
        limits = sizing.limits(measured, demand, options.s3_ms)
        figures = page.figures_of(measured, demand, compared, sizes, limits)
        print(figures)  # noqa: T201 - the output of the command
        if options.write:
            _write(options, measured, demand, figures)
    except (MeasuredError, page.PageError) as error:
        sys.exit(f"capacity: {error}")
    if any(abs(each.error) >= MAX_ERROR for each in compared):
        sys.exit(f"capacity: the error of the model is {MAX_ERROR:.0%} or more")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.capacity", description=__doc__)
    parser.add_argument("--report", type=Path, help=f"report of make bench; default {_REPORT}")
    parser.add_argument(
        "--s3-ms", type=float, default=sizing.S3_MS, help="milliseconds of a request to a remote S3"
    )
    parser.add_argument("--jobs", type=int, default=_JOBS, help="jobs simulated for each figure")
    parser.add_argument("--write", action="store_true", help="write the page and its charts")
    parser.add_argument("--page", type=Path, default=_HERE / "README.md", help="page to write")
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
    title = f"One core per process, S3 at {options.s3_ms:g} ms"
    (directory / "fleet.svg").write_text(draw(title, where, fleet), "utf-8")


if __name__ == "__main__":
    main()
