"""One fault of the network in short; `make hosts` does all of them in full."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.conftest import NOT_PERMITTED
from tests.hosts.network import own_namespace, why_not
from tests.waiting import wait_for

#: In the environment of every process of one run of the harness.
_MARK = "HOSTS_TEST"


@pytest.fixture(scope="module", autouse=True)
def _permitted() -> None:
    if reason := why_not():
        pytest.skip(f"{NOT_PERMITTED}: {reason}")


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """Where a run keeps its data; none of its processes may be left when the test ends."""
    yield tmp_path
    wait_for(lambda: not processes(tmp_path), "the end of every process", pause=0.5)


def harness(directory: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.hosts", "--short", "--keep", str(directory), *arguments],
        env={**os.environ, _MARK: str(directory)},
        stdout=subprocess.PIPE,
        text=True,
    )


def processes(directory: Path) -> list[str]:
    """Return the command lines of a run's processes."""
    found = []
    for process in psutil.process_iter():
        try:
            # Valkey writes its title over its environment, but works in the run's directory.
            inside = Path(process.cwd()).is_relative_to(directory)
            if inside or process.environ().get(_MARK) == str(directory):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:  # it has ended, or is another user's
            continue
    return found


@pytest.mark.long
@pytest.mark.timeout(300)
def test_jobs_end_once_and_right_though_a_worker_host_is_cut_off(directory: Path) -> None:
    with harness(directory, "cut-worker") as running:
        table, _ = running.communicate()
    sys.stdout.write(table)
    assert running.returncode == 0


@pytest.mark.timeout(120)
def test_nothing_is_left_after_an_interrupt(directory: Path) -> None:
    with harness(directory, "undisturbed") as running:
        valkey = "the first part"
        wait_for(lambda: any("valkey" in line for line in processes(directory)), valkey, pause=0.2)
        running.send_signal(signal.SIGINT)
        running.communicate()
    assert running.returncode not in {0, None}


#: A network whose block raises, and what is there of its devices afterwards.
_RAISING = """
import socket
from tests.hosts.network import running_network

for _ in range(2):
    try:
        with running_network() as network:
            names = set(network.hosts)
            raise KeyError(names)
    except KeyError:
        left = {name for _, name in socket.if_nameindex()}
        print(*sorted(left & names))
"""


def test_no_device_is_left_of_a_network_whose_block_raises() -> None:
    done = subprocess.run(
        [*own_namespace(), sys.executable, "-c", _RAISING],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
