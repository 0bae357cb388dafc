"""One fault of the network in short; `make hosts` does all of them in full."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from tests.conftest import NOT_PERMITTED
from tests.hosts.network import why_not
from tests.waiting import wait_for

#: In the environment of every process of one run of the harness.
_MARK = "HOSTS_TEST"


@pytest.fixture(scope="module", autouse=True)
def _permitted() -> None:
    if reason := why_not():
        pytest.skip(f"{NOT_PERMITTED}: {reason}")


@pytest.fixture
def mark() -> Iterator[str]:
    """What marks the processes of a run; none of them may be left when the test ends."""
    mark = secrets.token_hex(8)
    yield mark
    wait_for(lambda: not marked(mark), "the end of every process")


def harness(mark: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.hosts", "--short", *arguments],
        env={**os.environ, _MARK: mark}, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def marked(mark: str) -> list[str]:
    """Return the command lines of the processes that have the mark."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(_MARK) == mark:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:  # it has ended, or is another user's
            continue
    return found


@pytest.mark.timeout(300)
def test_jobs_end_once_and_right_though_a_worker_host_is_cut_off(mark: str) -> None:
    with harness(mark, "cut-worker") as running:
        table, _ = running.communicate()
    sys.stdout.write(table)
    assert running.returncode == 0


@pytest.mark.timeout(120)
def test_nothing_is_left_after_an_interrupt(mark: str) -> None:
    with harness(mark, "undisturbed") as running:
        wait_for(lambda: any("valkey" in line for line in marked(mark)), "the first part")
        running.send_signal(signal.SIGINT)
        running.communicate()
    assert running.returncode not in {0, None}
