"""``python -m tests.hosts [--short] [fault ...]``: faults of the network between hosts.

It goes on in a network namespace of its own; see :mod:`tests.hosts.network`.
"""

import os
import sys
from pathlib import Path

from tests.faults.command import SYMBOLS, run_command
from tests.faults.report import Row
from tests.faults.scene import Fault, run_fault_on, settings_of
from tests.hosts.catalogue import HOST_FAULTS
from tests.hosts.network import own_namespace, running_network, why_not
from tests.hosts.rig import running_hosts

_PROGRAM = "python -m tests.hosts"
#: Set once the harness is in its own namespace.
_INSIDE = "HOSTS_INSIDE"


def _run(name: str, directory: Path, short: bool) -> Row:  # noqa: FBT001 - as RunFault has it
    chosen = HOST_FAULTS[name]
    with running_network() as network:
        fault = Fault(name, lambda scene: chosen.does(scene, network), within=chosen.within)
        with running_hosts(network, directory, settings_of(fault, short=short)) as rig:
            return run_fault_on(rig, fault, directory, short=short, symbols=SYMBOLS)


def main() -> None:
    """Go into a namespace, or run what the command line names in it."""
    if _INSIDE in os.environ:
        sys.exit(run_command(_PROGRAM, HOST_FAULTS, _run))
    reason = why_not()
    if reason:
        sys.exit(f"{_PROGRAM}: {reason}")
    command = [*own_namespace(), sys.executable, "-m", "tests.hosts", *sys.argv[1:]]
    os.execvpe(command[0], command, {**os.environ, _INSIDE: "1"})  # noqa: S606 - no shell


if __name__ == "__main__":
    main()
