"""What is left of a harness that is asked to end in the middle of a fault: nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

#: One fault, which lasts, in a finaliser or out of it; its name is `long`.
_HARNESS = """
import sys, time
from tests.faults.command import fault_parser, run_chosen

class Client:
    def __del__(self):
        print(directory, flush=True)
        time.sleep(60)

def run(name, where):
    global directory
    directory = where
    directory.mkdir()
    (directory / "data").touch()
    try:
        if IN_FINALISER:
            Client()
        else:
            print(directory, flush=True)
        time.sleep(60)
    finally:
        print("undone", flush=True)

sys.exit(run_chosen(fault_parser("harness", ["long"]).parse_args(), ["long"], run))
"""


@pytest.mark.parametrize("in_finaliser", [False, True])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_end_undoes_what_it_did(
    tmp_path: Path, number: signal.Signals, *, in_finaliser: bool
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", f"IN_FINALISER = {in_finaliser}\n{_HARNESS}"],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as harness:
        assert harness.stdout is not None
        directory = Path(harness.stdout.readline().strip())
        assert (directory / "data").exists()
        harness.send_signal(number)
        assert harness.communicate()[0] == "undone\n"
    assert harness.returncode in {128 + number, -number}
    assert [*tmp_path.iterdir()] == []
