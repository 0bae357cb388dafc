"""``python -m tests.faults [--short] [--broker rabbitmq] [fault ...]``: faults by name, or all."""

import sys
from pathlib import Path

from tests.faults.catalogue import FAULTS
from tests.faults.command import SYMBOLS, fault_parser, run_chosen
from tests.faults.report import Row
from tests.faults.scene import run_fault
from tests.rabbitmq import ABSENT


def main() -> int:
    """Run what the command line names; exit status 1 if the promise was not kept."""
    parser = fault_parser("python -m tests.faults", FAULTS)
    parser.add_argument("--broker", choices=("redis", "rabbitmq"), default="redis")
    chosen = parser.parse_args()
    on_rabbitmq = chosen.broker == "rabbitmq"
    if on_rabbitmq and ABSENT:
        parser.error(ABSENT)
    possible = [name for name, fault in FAULTS.items() if on_rabbitmq or not fault.of_rabbitmq]
    impossible = sorted(set(chosen.faults) - set(possible))
    if impossible:
        parser.error(f"{', '.join(impossible)}: only with --broker rabbitmq")

    def run(name: str, directory: Path) -> Row:
        return run_fault(
            FAULTS[name], directory, short=chosen.short, symbols=SYMBOLS, on_rabbitmq=on_rabbitmq
        )

    return run_chosen(chosen, possible, run)


if __name__ == "__main__":
    sys.exit(main())
