"""A trial of one mutation: do the tests find it?"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from tests.mutants.baseline import Baseline
from tests.mutants.mutation import Mutation

Verdict = Literal["unit", "other", "e2e", "timeout", "survived"]
#: Seconds that every trial has, and how often the usual duration of its tests besides.
_LEAST_SECONDS, _FACTOR = 90.0, 5.0
_SURVIVED, _NO_TESTS = 0, 5


class Trial(NamedTuple):
    """What became of a mutation.

    Attributes:
        verdict: found by unit tests, by contract and integration tests, by tests of whole
            processes, by a time-out, or not found.
        tests: number of tests that were to find it.
    """

    verdict: Verdict
    tests: int


def try_mutation(mutation: Mutation, baseline: Baseline, tree: Path) -> Trial:
    """Write a mutation to the tree, run its tests there, and undo it."""
    file = tree / mutation.path
    original = file.read_text("utf-8")
    stages = baseline.stages(mutation.path, mutation.line)
    file.write_text(mutation.code, "utf-8")
    try:
        verdict = _first_find(
            ("unit", stages.unit),
            ("other", stages.other),
            ("e2e", stages.e2e),
            baseline=baseline,
            tree=tree,
        )
    finally:
        file.write_text(original, "utf-8")
    return Trial(verdict, sum(map(len, stages)))


def _first_find(*stages: tuple[Verdict, list[str]], baseline: Baseline, tree: Path) -> Verdict:
    for verdict, tests in stages:
        if not tests:
            continue
        seconds = _LEAST_SECONDS + _FACTOR * baseline.seconds(tests)
        status = _run(tests, tree, seconds)
        if status is None:
            return "timeout"
        if status not in {_SURVIVED, _NO_TESTS}:
            return verdict
    return "survived"


def _run(tests: Sequence[str], tree: Path, seconds: float) -> int | None:
    """Return pytest's exit status, or None if it took longer than ``seconds``."""
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as names:
        names.write("\n".join(tests))
        names.flush()
        options = ["-x", "-q", "-p", "no:cacheprovider", "--timeout=60", f"@{names.name}"]
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options],
            cwd=tree,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
