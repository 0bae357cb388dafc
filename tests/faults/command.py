"""The command line of a harness: faults by name, or all of them, and the table at the end."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection
from pathlib import Path

import httpx
import redis
from rich.console import Console

from deploy.embedded.process import PartError
from deploy.embedded.running import StackError
from tests.faults.report import Row, print_rows

#: Symbols of each bundle that are read back; names, digests and counts are always compared.
SYMBOLS = 60
_BROKEN = (AssertionError, StackError, PartError, OSError, httpx.HTTPError, redis.RedisError)

#: Does the fault of a name, in a directory, in short or in full.
RunFault = Callable[[str, Path, bool], Row]


def run_command(program: str, names: Collection[str], run: RunFault) -> int:
    """Run what the command line names; exit status 1 if the promise was not kept."""
    about = "Do faults by name, or all of them, and say whether the promise was kept."
    parser = argparse.ArgumentParser(prog=program, description=about)
    parser.add_argument("faults", nargs="*", metavar="fault", help=", ".join(names))
    parser.add_argument("--short", action="store_true", help="faults and waits in a quarter")
    parser.add_argument("--keep", type=Path, help="directory for data and logs, kept afterwards")
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.faults) - set(names))
    if unknown:
        parser.error(f"no fault {', '.join(unknown)}; there are {', '.join(names)}")
    rows = _run(chosen.faults or [*names], run, chosen.keep, short=chosen.short)
    console = Console(width=None if sys.stdout.isatty() else 140)
    print_rows(rows, console)
    return 0 if all(row.good for row in rows) else 1


def _run(names: list[str], run: RunFault, keep: Path | None, *, short: bool) -> list[Row]:
    directory = keep or Path(tempfile.mkdtemp(prefix="qrmill-faults-"))
    progress, rows = Console(stderr=True, highlight=False), []
    try:
        for name in names:
            row = _row(name, run, directory / name, short=short)
            progress.print(row.sentence)
            rows.append(row)
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    return rows


def _row(name: str, run: RunFault, directory: Path, *, short: bool) -> Row:
    try:
        return run(name, directory, short)
    except _BROKEN as error:
        # One fault that could not be done to its end must not keep the others from the table.
        return Row(name, wrong=1, notes=[f"not done to its end: {error!r}"])
