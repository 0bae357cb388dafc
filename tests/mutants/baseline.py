"""What the tests execute without any mutation: lines of Python, and scripts."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from coverage import CoverageData

from tests.mutants.recorder import TESTS

_FOLDERS = ("tests/unit", "tests/contract", "tests/integration")
_UNIT = "tests/unit/"
_E2E = "tests/e2e"
#: Seconds of the tests that start whole processes, which are not recorded.
_E2E_SECONDS = 300.0
_LUA = "pipeline/ledger/lua/"


class Stages(NamedTuple):
    """The tests of a line, in the order in which they run.

    Attributes:
        unit: unit tests.
        other: contract and integration tests.
        e2e: tests that start whole processes.
    """

    unit: list[str]
    other: list[str]
    e2e: list[str]


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
        return sum(
            _E2E_SECONDS if test == _E2E else float(self._rows[test]["seconds"]) for test in tests
        )

    def stages(self, path: str, line: int) -> Stages:
        """Return the tests of a line, the shortest first.

        A line that no test executes is executed at the import, or in other processes. It has the
        tests of its whole file and of the files that import it, and those of whole processes. The
        tests that execute most of its file come first.
        """
        lines_of: Counter[str] = Counter()
        if path.startswith(_LUA):
            found, elsewhere = self._of_script(Path(path).stem), False
        else:
            found = self._of_line(path, line)
            elsewhere = not found
        if elsewhere:
            lines_of = self._of_file(path)
            found = {*lines_of}.union(*map(self._of_file, self._importers(path)))
        known = sorted(found, key=lambda test: (-lines_of[test], self._rows[test]["seconds"]))
        unit = [test for test in known if test.startswith(_UNIT)]
        others = [test for test in known if not test.startswith(_UNIT)]
        return Stages(unit, others, [_E2E] if elsewhere else [])

    def _of_line(self, path: str, line: int) -> set[str]:
        lines = self._coverage.contexts_by_lineno(self._measured.get(path, path))
        return set(lines.get(line, ())) & self._rows.keys()

    def _of_file(self, path: str) -> Counter[str]:
        """Return the tests that execute lines of a file, with the number of lines."""
        lines = self._coverage.contexts_by_lineno(self._measured.get(path, path))
        return Counter(test for tests in lines.values() for test in tests if test in self._rows)

    def _importers(self, path: str) -> Iterator[str]:
        module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name, file in self._measured.items():
            if Path(file).is_file() and f"from {module} import" in Path(file).read_text("utf-8"):
                yield name

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
