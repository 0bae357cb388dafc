"""``python -m tests.hosts [--short] [fault ...]``: faults of the network between hosts.

It goes on in a network namespace of its own; see :mod:`tests.hosts.network`.
"""

import os
import sys
from functools import partial
from pathlib import Path

from tests.environment_proxies import without_proxies
from tests.faults.command import SYMBOLS, fault_parser, run_chosen
from tests.faults.report import Row
from tests.faults.scene import Fault, run_fault_on, settings_of
from tests.hosts.catalogue import HOST_FAULTS
from tests.hosts.network import own_namespace, running_network, why_not
from tests.hosts.rig import running_hosts

_PROGRAM = "python -m tests.hosts"
#: Set once the harness is in its own namespace.
_INSIDE = "HOSTS_INSIDE"


def main() -> None:
    """Go into a namespace, or run what the command line names in it."""
    chosen = fault_parser(_PROGRAM, HOST_FAULTS).parse_args()
    if _INSIDE in os.environ:
        run = partial(_run, short=chosen.short)
        sys.exit(run_chosen(chosen, HOST_FAULTS, run))
    reason = why_not()
    if reason:
        sys.exit(f"{_PROGRAM}: {reason}")
    command = [*own_namespace(), sys.executable, "-m", "tests.hosts", *sys.argv[1:]]
    os.execvpe(command[0], command, {**without_proxies(os.environ), _INSIDE: "1"})  # noqa: S606 - no shell


def _run(name: str, directory: Path, *, short: bool) -> Row:
    chosen = HOST_FAULTS[name]
    with running_network() as network:
        fault = Fault(name, lambda scene: chosen.does(scene, network), within=chosen.within)
        with running_hosts(network, directory, settings_of(fault, short=short)) as rig:
            return run_fault_on(rig, fault, directory, short=short, symbols=SYMBOLS)


if __name__ == "__main__":
    main()
