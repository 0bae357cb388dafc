"""Processes that end with their parent; each program below is one."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from pipeline.parent_death import terminate_with_parent
from tests.waiting import wait_for

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is a feature of Linux"
)
#: Arranges for its death, reports its process id, and sleeps.
CHILD = """
import os, signal, sys, time
from pipeline.parent_death import terminate_with_parent
terminate_with_parent(int(sys.argv[1]), signal.Signals(int(sys.argv[2])))
print(os.getpid(), flush=True)
time.sleep(600)
"""
#: Starts the child, whose process id it passes on, and sleeps.
PARENT = """
import os, subprocess, sys, time
child, number = sys.argv[1:]
subprocess.Popen([sys.executable, "-c", child, str(os.getpid()), number])
time.sleep(600)
"""


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_child_ends_when_its_parent_is_killed(number: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, CHILD, str(int(number))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert not is_gone(child)
        parent.kill()
    wait_for(lambda: is_gone(child), "the end of the child")


def test_a_parent_that_died_before_the_call_counts_as_well() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    command = [sys.executable, "-c", CHILD, str(gone.pid), str(int(signal.SIGTERM))]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, b"")


def test_a_child_lives_as_long_as_its_parent() -> None:
    program = CHILD.replace("time.sleep(600)", "time.sleep(0.2)")
    command = [sys.executable, "-c", program, str(os.getpid()), str(int(signal.SIGKILL))]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0


def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    terminate_with_parent(-1, signal.SIGKILL)
