"""The supervisor with small real programs as parts; whole stacks are in tests/e2e."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.embedded.process import Part, PartError
from deploy.embedded.supervisor import StopRequestedError, Supervisor

Supervise = Callable[..., Supervisor]


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def told() -> list[dict[str, int]]:
    return []


@pytest.fixture
def supervise(tmp_path: Path, said: list[str], told: list[dict[str, int]]) -> Iterator[Supervise]:
    """Makes a supervisor of stages; it is stopped, and signals are as before, at the end."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    made = []
    with (tmp_path / "lock").open("w") as lock:

        def make(*stages: list[Part]) -> Supervisor:
            made.append(
                Supervisor(
                    stages, tmp_path, report=said.append, on_change=told.append, lock=lock.fileno()
                )
            )
            return made[-1]

        yield make
        for supervisor in made:
            supervisor.stop()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def part(
    directory: Path, name: str, program: str = "", *, file: str = "", seconds: float = 10.0
) -> Part:
    """A part that says `ready`, runs ``program`` and sleeps; it answers once ``file`` exists."""
    text = f"import os, sys, time; print('ready', flush=True)\n{program}\ntime.sleep(60)"
    return Part(
        name=name,
        command=(sys.executable, "-c", text),
        directory=directory,
        environment=os.environ,
        new_probe=lambda: Path(file or directory / f"{name}.log").exists,
        start_seconds=seconds,
    )


def test_a_stage_is_started_once_the_one_before_answers(
    supervise: Supervise, tmp_path: Path, said: list[str], told: list[dict[str, int]]
) -> None:
    flag = str(tmp_path / "flag")
    slow = part(tmp_path, "slow", f"time.sleep(0.3); open({flag!r}, 'w')", file=flag)
    late = part(tmp_path, "late", f"if not os.path.exists({flag!r}): sys.exit(1)")
    supervise([slow], [late]).start()
    assert [line for line in said if "ended" in line] == []
    assert sorted(told[-1]) == ["late", "slow"]


def test_a_part_that_never_answers_ends_everything_with_its_last_lines(
    supervise: Supervise, tmp_path: Path
) -> None:
    mute = part(tmp_path, "mute", file="never", seconds=0.5)
    with pytest.raises(PartError, match=r"mute was not ready within 0 s(?s:.*)ready"):
        supervise([mute]).start()


def test_a_part_that_dies_again_and_again_is_given_up(
    supervise: Supervise, tmp_path: Path, said: list[str]
) -> None:
    begin = time.monotonic()
    with pytest.raises(PartError, match=r"dying died five times within a minute(?s:.*)ready"):
        supervise([part(tmp_path, "dying", "sys.exit(3)", file="never")]).start()
    assert said == ["dying ended (exit status 3) and will be restarted"] * 4
    assert time.monotonic() - begin > 0.25 + 0.5 + 1 + 2


def test_a_part_that_is_down_is_not_told_and_then_with_its_new_process(
    supervise: Supervise, tmp_path: Path, told: list[dict[str, int]]
) -> None:
    flag = str(tmp_path / "flag")
    once = f"if not os.path.exists({flag!r}): open({flag!r}, 'w'); time.sleep(0.5); sys.exit(1)"
    last = "time.sleep(0.5); os.kill(os.getppid(), 15)"
    supervisor = supervise([part(tmp_path, "steady"), part(tmp_path, "weak", f"{once}\n{last}")])
    supervisor.start()
    with pytest.raises(StopRequestedError, match="SIGTERM"):
        supervisor.watch()
    whole = [pids for pids in told if len(pids) == 2]
    assert [sorted(pids) for pids in told][-2:] == [["steady"], ["steady", "weak"]]
    assert whole[0]["steady"] == whole[-1]["steady"]
    assert whole[0]["weak"] != whole[-1]["weak"]
