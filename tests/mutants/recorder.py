"""A plugin of pytest that records what each test executes, for the choice of a mutation's tests.

Each line that coverage records gets the test as its context. Each test's result, duration and the
ledger's scripts that it ran are written to the file that ``QRMILL_MUTANTS_TESTS`` names, with the
id of the process.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

from pipeline.ledger.scripts import Scripts

TESTS = "QRMILL_MUTANTS_TESTS"

_scripts: set[str] = set()
_reports: dict[str, list[pytest.TestReport]] = {}


def _watch(method: str) -> None:
    plain = getattr(Scripts, method)

    def run(self: Scripts, name: str, *arguments: Any) -> Any:  # noqa: ANN401 - as the original
        _scripts.add(name)
        return plain(self, name, *arguments)

    setattr(Scripts, method, run)


def pytest_configure() -> None:
    for method in ("run", "run_and_replicate"):
        _watch(method)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    running = coverage.Coverage.current()
    if running is not None:
        running.switch_context(item.nodeid)
    _scripts.clear()
    result = yield
    _write(item.nodeid)
    return result


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _reports.setdefault(report.nodeid, []).append(report)


def _write(test: str) -> None:
    reports = _reports.pop(test, [])
    row = {
        "test": test,
        "seconds": sum(report.duration for report in reports),
        "passed": bool(reports) and all(report.passed for report in reports),
        "scripts": sorted(_scripts),
    }
    with Path(f"{os.environ[TESTS]}.{os.getpid()}").open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")
