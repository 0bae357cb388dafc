"""What is left of a harness that is asked to end in the middle of a fault: nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

#: One fault, which lasts; its name is `long`.
_HARNESS = """
import sys, time
from tests.faults.command import fault_parser, run_chosen

def run(name, directory):
    directory.mkdir()
    (directory / "data").touch()
    try:
        print(directory, flush=True)
        time.sleep(600)
    finally:
        print("undone", flush=True)

sys.exit(run_chosen(fault_parser("harness", ["long"]).parse_args(), ["long"], run))
"""


def test_a_run_that_is_asked_to_end_undoes_what_it_did(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HARNESS],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as harness:
        assert harness.stdout is not None
        directory = Path(harness.stdout.readline().strip())
        assert (directory / "data").exists()
        harness.send_signal(signal.SIGTERM)
        assert harness.communicate()[0] == "undone\n"
    assert harness.returncode == 128 + signal.SIGTERM
    assert [*tmp_path.iterdir()] == []
