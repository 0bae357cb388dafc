"""``python -m tests.faults [--short] [--broker rabbitmq] [fault ...]``: faults by name, or all."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import httpx
import redis
from pika.exceptions import AMQPError
from rich.console import Console

from deploy.embedded.running import StackError
from tests.faults.catalogue import FAULTS
from tests.faults.report import Row, print_rows
from tests.faults.scene import run_fault
from tests.rabbitmq import ABSENT

#: Symbols of each bundle that are read back; names, digests and counts are always compared.
_SYMBOLS = 60
_BROKEN = (AssertionError, StackError, OSError, httpx.HTTPError, redis.RedisError, AMQPError)


def main() -> int:
    """Run what the command line names; exit status 1 if the promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("faults", nargs="*", metavar="fault", help=", ".join(FAULTS))
    parser.add_argument("--short", action="store_true", help="faults and waits in a quarter")
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    parser.add_argument("--keep", type=Path, help="directory for data and logs, kept afterwards")
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.faults) - set(FAULTS))
    if unknown:
        parser.error(f"no fault {', '.join(unknown)}; there are {', '.join(FAULTS)}")
    on_rabbitmq = chosen.broker == "rabbitmq"
    if on_rabbitmq and ABSENT:
        parser.error(ABSENT)
    possible = [name for name, fault in FAULTS.items() if on_rabbitmq or not fault.of_rabbitmq]
    impossible = sorted(set(chosen.faults) - set(possible))
    if impossible:
        parser.error(f"{', '.join(impossible)}: only with --broker rabbitmq")
    rows = _run(chosen.faults or possible, chosen.keep, short=chosen.short, on_rabbitmq=on_rabbitmq)
    console = Console(width=None if sys.stdout.isatty() else 140)
    print_rows(rows, console)
    return 0 if all(row.good for row in rows) else 1


def _run(names: list[str], keep: Path | None, *, short: bool, on_rabbitmq: bool) -> list[Row]:
    directory = keep or Path(tempfile.mkdtemp(prefix="qrmill-faults-"))
    progress, rows = Console(stderr=True, highlight=False), []
    try:
        for name in names:
            row = _row(name, directory / name, short=short, on_rabbitmq=on_rabbitmq)
            progress.print(row.sentence)
            rows.append(row)
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    return rows


def _row(name: str, directory: Path, *, short: bool, on_rabbitmq: bool) -> Row:
    try:
        return run_fault(
            FAULTS[name], directory, short=short, symbols=_SYMBOLS, on_rabbitmq=on_rabbitmq
        )
    except _BROKEN as error:
        # One fault that could not be done to its end must not keep the others from the table.
        return Row(name, wrong=1, notes=[f"not done to its end: {error!r}"])


if __name__ == "__main__":
    sys.exit(main())
