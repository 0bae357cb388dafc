"""``python -m tests.faults [--short] [fault ...]``: do faults by name, or all of them."""

import sys
from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.command import SYMBOLS, run_command
from tests.faults.report import Row
from tests.faults.scene import run_fault


def _run(name: str, directory: Path, short: bool) -> Row:  # noqa: FBT001 - as RunFault has it
    return run_fault(FAULTS[name], directory, short=short, symbols=SYMBOLS)


if __name__ == "__main__":
    sys.exit(run_command("python -m tests.faults", FAULTS, _run))
