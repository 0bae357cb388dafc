"""Parts as processes, shown with small real programs."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.embedded.process import (
    Part,
    PartError,
    PartProcess,
    start_and_wait,
    stop_all,
    wait_until,
)

START = Callable[..., PartProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[START]:
    """Starts a Python program as a part and waits until it has printed `ready`."""
    started = []

    def start_program(program: str, stop_seconds: float = 5.0) -> PartProcess:
        process = start_and_wait(part(program, tmp_path, stop_seconds), tmp_path)
        started.append(process)
        return process

    yield start_program
    for process in started:
        process.clear()


def part(program: str, directory: Path, stop_seconds: float = 5.0) -> Part:
    log = directory / "part.log"
    return Part(
        name="part",
        command=(sys.executable, "-c", f"import os, signal, sys, time\n{program}"),
        directory=directory,
        environment=os.environ | {"PYTHONUNBUFFERED": "1"},
        new_probe=lambda: lambda: "ready" in log.read_text("utf-8"),
        stop_seconds=stop_seconds,
    )


def test_a_part_that_ends_is_an_error_with_its_last_lines(tmp_path: Path) -> None:
    broken = part("print('the disk is full'); sys.exit(3)", tmp_path)
    with pytest.raises(PartError, match=r"part did not become ready(?s:.*)the disk is full"):
        start_and_wait(broken, tmp_path)


def test_only_this_runs_lines_are_shown(tmp_path: Path) -> None:
    (tmp_path / "part.log").write_text("from yesterday\n", encoding="utf-8")
    process = PartProcess(part("print('from today')", tmp_path), tmp_path)
    assert wait_until(process.ended, 10)
    process.clear()
    assert process.last_lines() == "from today"


def test_a_part_leads_a_session_of_its_own_and_blocks_no_signal(start: START) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        process = start("print('ready'); time.sleep(60)")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid
    stop_all([process])
    assert process.clear() == "SIGTERM"


def test_a_part_that_ignores_sigterm_is_killed_after_its_time(start: START) -> None:
    program = "signal.signal(15, signal.SIG_IGN); print('ready'); time.sleep(60)"
    process = start(program, stop_seconds=0.2)
    stop_all([process])
    assert process.clear() == "SIGKILL"


def test_what_a_dead_part_left_behind_is_killed(start: START, tmp_path: Path) -> None:
    child = tmp_path / "child"
    program = f"""
if os.fork() == 0:
    open({str(child)!r}, "w").write(str(os.getpid()) + chr(10))
    print("ready")
    time.sleep(60)
time.sleep(60)
"""
    process = start(program)
    orphan = psutil.Process(int(child.read_text("utf-8")))
    os.kill(process.pid, signal.SIGKILL)
    assert wait_until(process.ended, 10)
    assert orphan.is_running()
    assert process.clear() == "SIGKILL"
    assert wait_until(lambda: not orphan.is_running(), 10)


def test_a_part_dies_with_its_parent(tmp_path: Path) -> None:
    program = """
import os, sys, pathlib
from deploy.embedded.process import Part, PartProcess
def never(): return False
command = (sys.executable, "-c", "import time; time.sleep(60)")
here = pathlib.Path(sys.argv[1])
part = Part("child", command, here, os.environ, lambda: never)
print(PartProcess(part, here).pid, flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    assert wait_until(lambda: not child.is_running(), 10)


def test_a_log_is_bounded_while_the_part_goes_on_writing(start: START, tmp_path: Path) -> None:
    process = start("""
print("ready" + "." * 1000)
while sys.stdin is not None:
    print("next")
    time.sleep(0.01)
""")
    process.bound_log(limit=10_000_000)
    assert not (tmp_path / "part.log.1").exists()
    process.bound_log(limit=100)
    former = tmp_path / "part.log.1"
    assert former.read_text("utf-8").startswith("ready...")
    assert former.stat().st_mode & 0o777 == 0o600
    former.chmod(0o644)  # as earlier releases made it
    assert wait_until(lambda: process.log.stat().st_size > 100, 10)
    process.bound_log(limit=100)
    assert former.stat().st_mode & 0o777 == 0o600
    assert wait_until(lambda: process.last_lines(1) == "next", 10)
    assert b"\0" not in process.log.read_bytes()  # it appends: no hole where the old lines were
