"""What the tests execute without any mutation: lines of Python, and scripts."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from coverage import CoverageData

from tests.mutants.recorder import TESTS

_FOLDERS = ("tests/unit", "tests/contract", "tests/integration")
_UNIT = "tests/unit/"
_LUA = "pipeline/ledger/lua/"


class Baseline:
    """The tests that pass, and what each executes.

    Args:
        directory: where it is kept, once it has been recorded.
    """

    def __init__(self, directory: Path) -> None:
        rows = [
            json.loads(line)
            for file in sorted(directory.glob("tests.*"))
            for line in file.read_text("utf-8").splitlines()
        ]
        self._rows: dict[str, dict[str, Any]] = {row["test"]: row for row in rows if row["passed"]}
        self._coverage = CoverageData(str(directory / "coverage"))
        self._coverage.read()
        self._measured = {
            name.partition("/tree/")[2]: name for name in self._coverage.measured_files()
        }

    def seconds(self, tests: Iterable[str]) -> float:
        """Return how long tests take."""
        return sum(float(self._rows[test]["seconds"]) for test in tests)

    def stages(self, path: str, line: int) -> tuple[list[str], list[str]]:
        """Return the tests of a line: unit tests, and contract and integration tests.

        A line that is executed at the import alone has the tests of its whole file. The shortest
        come first.
        """
        if path.startswith(_LUA):
            found = self._of_script(Path(path).stem)
        else:
            lines = self._coverage.contexts_by_lineno(self._measured.get(path, path))
            found = set(lines.get(line, ())) & self._rows.keys()
            found = found or {test for tests in lines.values() for test in tests}
        known = sorted(found & self._rows.keys(), key=lambda test: self._rows[test]["seconds"])
        unit = [test for test in known if test.startswith(_UNIT)]
        return unit, [test for test in known if not test.startswith(_UNIT)]

    def _of_script(self, name: str) -> set[str]:
        return {
            test
            for test, row in self._rows.items()
            if name in row["scripts"] or (name == "prelude" and row["scripts"])
        }


def record(directory: Path, tree: Path, folders: Iterable[str] = _FOLDERS) -> None:
    """Run the tests once, and keep what they execute in ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.iterdir():
        old.unlink()
    data = str(directory / "coverage")
    command = [sys.executable, "-m", "coverage"]
    environ = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(_paths(tree)),
        TESTS: str(directory / "tests"),
    }
    run = [*command, "run", f"--data-file={data}", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    options = ["-p", "tests.mutants.recorder", "-n", "2", "--dist", "loadfile"]
    subprocess.run([*run, *options, *folders], cwd=tree, env=environ, check=False)
    combine = [*command, "combine", "--quiet", f"--data-file={data}"]
    subprocess.run([*combine, str(directory)], cwd=tree, env=environ, check=True)


def _paths(tree: Path) -> list[str]:
    return [str(tree), *filter(None, [os.environ.get("PYTHONPATH", "")])]
