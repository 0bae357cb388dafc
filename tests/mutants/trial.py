"""A trial of one mutation: do the tests find it?"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from tests.mutants.baseline import Baseline
from tests.mutants.mutation import Mutation

Verdict = Literal["unit", "other", "e2e", "timeout", "survived"]
#: Seconds that every trial has, and how often the usual duration of its tests besides.
_LEAST_SECONDS, _FACTOR = 90.0, 5.0
_SURVIVED, _FOUND, _NO_TESTS = 0, 1, 5
#: Lines of pytest's summary, which comes last. In the log of a test, more spaces follow the level.
_SUMMARY = re.compile(r"^(?:FAILED|ERROR) (\S.*?)(?: - .*)?$", re.MULTILINE)


class Trial(NamedTuple):
    """What became of a mutation.

    Attributes:
        verdict: found by unit tests, by contract and integration tests, by tests of whole
            processes, by a time-out, or not found.
        tests: number of tests that were to find it.
        found_by: the test that failed; empty if none did.
    """

    verdict: Verdict
    tests: int
    found_by: str = ""


def try_mutation(mutation: Mutation, baseline: Baseline, tree: Path) -> Trial:
    """Run the tests of a mutation in the tree, with the mutation in it."""
    stages = baseline.stages(mutation.path, mutation.line)
    verdict, found_by = _first_find(
        ("unit", stages.unit),
        ("other", stages.other),
        ("e2e", stages.e2e),
        mutation=mutation,
        baseline=baseline,
        tree=tree,
    )
    return Trial(verdict, sum(map(len, stages)), found_by)


def _first_find(
    *stages: tuple[Verdict, list[str]], mutation: Mutation, baseline: Baseline, tree: Path
) -> tuple[Verdict, str]:
    """Run the tests of one stage after another until one finds the mutation.

    A test may fail because the machine is busy, and a test of whole processes because it cannot run
    there at all. A failure therefore counts only if the test fails again by itself, and passes
    without the mutation; else the others of its stage go on without it.
    """
    for verdict, tests in stages:
        not_due_to_it: list[str] = []
        seconds = _LEAST_SECONDS + _FACTOR * baseline.seconds(tests)
        while tests:
            options = [f"--deselect={test}" for test in not_due_to_it]
            with _mutated(mutation, tree):
                run = _run([*tests, *options], tree, seconds)
                again = _run([run.failed], tree, seconds) if run.status == _FOUND else run
            if run.status is None:
                return "timeout", ""
            if run.status in {_SURVIVED, _NO_TESTS}:
                break
            if run.status != _FOUND:  # a file of tests cannot be imported
                return verdict, run.failed
            if again.status != _SURVIVED and _run([run.failed], tree, seconds).status == _SURVIVED:
                return verdict, run.failed
            not_due_to_it.append(run.failed)
    return "survived", ""


@contextmanager
def _mutated(mutation: Mutation, tree: Path) -> Iterator[None]:
    """Have the mutation in the tree for the block."""
    file = tree / mutation.path
    original = file.read_text("utf-8")
    file.write_text(mutation.code, "utf-8")
    try:
        yield
    finally:
        file.write_text(original, "utf-8")


class _Run(NamedTuple):
    """A run of pytest: its exit status, None if it took too long, and the test that failed."""

    status: int | None
    failed: str


def _run(arguments: Sequence[str], tree: Path, seconds: float) -> _Run:
    environ = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    with (
        tempfile.NamedTemporaryFile("w", suffix=".txt") as names,
        tempfile.TemporaryFile("w+") as output,
    ):
        names.write("\n".join(arguments))
        names.flush()
        options = ["-x", "-q", "-p", "no:cacheprovider", "--timeout=60", f"@{names.name}"]
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *options],
            cwd=tree,
            env=environ,
            stdout=output,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            return _Run(None, "")
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        failed = _SUMMARY.findall(output.read())
        return _Run(status, failed[-1] if failed else "")
