"""The command line of a harness: faults by name, or all of them, and the table at the end."""

import argparse
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Collection
from pathlib import Path

import httpx2
import redis
from pika.exceptions import AMQPError
from rich.console import Console

from deploy.embedded.process import PartError
from deploy.embedded.running import StackError
from tests.faults.report import Row, print_rows

#: Symbols of each bundle that are read back; names, digests and counts are always compared.
SYMBOLS = 60
_BROKEN = (
    AssertionError,
    StackError,
    PartError,
    OSError,
    httpx2.HTTPError,
    redis.RedisError,
    AMQPError,
)

#: Signals by which a run is asked to end: all that it has made is undone, as after Ctrl-C.
_ENDS = (signal.SIGTERM, signal.SIGHUP)

#: Does the fault of a name, in a directory.
RunFault = Callable[[str, Path], Row]


def fault_parser(program: str, names: Collection[str]) -> argparse.ArgumentParser:
    """Return a parser of what all harnesses take; a fault that there is not is an error."""
    about = "Do faults by name, or all of them, and say whether the promise was kept."
    parser = argparse.ArgumentParser(prog=program, description=about)
    among = ", ".join(names)

    def known(name: str) -> str:
        if name not in names:
            raise argparse.ArgumentTypeError(f"no fault {name}; there are {among}")
        return name

    parser.add_argument("faults", nargs="*", type=known, metavar="fault", help=among)
    parser.add_argument("--short", action="store_true", help="faults and waits in a quarter")
    parser.add_argument("--keep", type=Path, help="directory for data and logs, kept afterwards")
    return parser


def run_chosen(chosen: argparse.Namespace, names: Collection[str], run: RunFault) -> int:
    """Run the faults chosen, or all of ``names``; exit status 1 if the promise was not kept."""
    for number in _ENDS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as SIGHUP is under nohup
            signal.signal(number, lambda number, _: sys.exit(128 + number))
    sys.unraisablehook = _signal_again
    rows = _run(chosen.faults or [*names], run, chosen.keep)
    console = Console(width=None if sys.stdout.isatty() else 140)
    print_rows(rows, console)
    return 0 if all(row.good for row in rows) else 1


def _signal_again(lost: "sys.UnraisableHookArgs") -> None:
    """Send a signal again, a little later, whose exception was lost: it came in a finaliser."""
    sys.__unraisablehook__(lost)
    if isinstance(lost.exc_value, KeyboardInterrupt | SystemExit):
        interrupted = isinstance(lost.exc_value, KeyboardInterrupt)
        number = signal.SIGINT if interrupted else signal.SIGTERM
        main = threading.main_thread().ident  # only a signal of its own ends its sleep
        threading.Timer(0.1, signal.pthread_kill, [main, number]).start()


def _run(names: list[str], run: RunFault, keep: Path | None) -> list[Row]:
    directory = keep or Path(tempfile.mkdtemp(prefix="qrmill-faults-"))
    progress, rows = Console(stderr=True, highlight=False), []
    try:
        for name in names:
            row = _row(name, run, directory / name)
            progress.print(row.sentence)
            rows.append(row)
    finally:
        if keep is None:
            shutil.rmtree(directory, ignore_errors=True)
    return rows


def _row(name: str, run: RunFault, directory: Path) -> Row:
    try:
        return run(name, directory)
    except _BROKEN as error:
        # One fault that could not be done to its end must not keep the others from the table.
        return Row(name, wrong=1, notes=[f"not done to its end: {error!r}"])
