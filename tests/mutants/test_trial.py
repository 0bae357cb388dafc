"""A mutation counts as found only by a test that fails because of it."""

import json
from pathlib import Path

import pytest
from coverage import CoverageData

from tests.mutants.baseline import Baseline, Stages
from tests.mutants.mutation import Mutation
from tests.mutants.trial import Trial, try_mutation

_CODE = "limit.py"
_TESTS = """
import logging
from pathlib import Path

import pytest

from limit import LIMIT

@pytest.mark.parametrize("name", ["first name", "second"])
def test_that_fails_once(name):
    seen = Path(__file__).with_name(name)
    before = seen.exists()
    seen.touch()
    logging.error("a line of the log")
    assert before

def test_that_always_fails():
    assert not LIMIT

def test_of_the_limit():
    assert LIMIT == 3
"""
_NAMES = [
    "tests/unit/test_limit.py::test_that_fails_once[first name]",
    "tests/unit/test_limit.py::test_that_fails_once[second]",
    "tests/unit/test_limit.py::test_that_always_fails",
    "tests/unit/test_limit.py::test_of_the_limit",
]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "tests" / "unit").mkdir(parents=True)
    (tree / "tests" / "unit" / "test_limit.py").write_text(_TESTS)
    (tree / "pytest.ini").write_text("[pytest]\n")
    (tree / _CODE).write_text("LIMIT = 3\n")
    return tree


@pytest.fixture
def baseline(tree: Path, tmp_path: Path) -> Baseline:
    directory = tmp_path / "baseline"
    directory.mkdir()
    coverage = CoverageData(str(directory / "coverage"))
    rows = []
    for number, name in enumerate(_NAMES):
        coverage.set_context(name)
        coverage.add_lines({str(tree / _CODE): [1, 3][: max(1, number - 1)]})
        rows.append({"test": name, "seconds": number / 10, "passed": True, "scripts": []})
    coverage.write()
    (directory / "tests.1").write_text("\n".join(map(json.dumps, rows)))
    return Baseline(directory)


@pytest.mark.parametrize(
    ("code", "trial"),
    [
        ("LIMIT = 3.0\n", Trial("survived", 4)),
        ("LIMIT = 4\n", Trial("unit", 4, _NAMES[3])),
        ("LIMIT =\n", Trial("unit", 4, "tests/unit/test_limit.py")),
    ],
)
def test_a_failure_for_another_reason_does_not_count(
    tree: Path, baseline: Baseline, code: str, trial: Trial
) -> None:
    assert try_mutation(Mutation(_CODE, 1, 0, "Number", code), baseline, tree) == trial
    assert (tree / _CODE).read_text() == "LIMIT = 3\n"


def test_a_line_that_no_test_executes_has_the_tests_of_its_file(baseline: Baseline) -> None:
    by_lines = [_NAMES[3], *_NAMES[:3]]
    assert baseline.stages(_CODE, 1) == Stages(_NAMES, [], [])
    assert baseline.stages(_CODE, 2) == Stages(by_lines, [], ["tests/e2e"])
