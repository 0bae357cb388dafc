"""The most telling faults in short; `make faults` runs all of them in full."""

from pathlib import Path

import pytest
from rich.console import Console

from tests.faults.catalogue import FAULTS
from tests.faults.report import print_rows
from tests.faults.scene import LEAST_IN_FLIGHT, run_fault

_SYMBOLS = 10


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name",
    ["kill-all-workers", "kill-one-step", "freeze-one-step", "redis-dying", "s3-failing"],
)
def test_every_accepted_job_ends_once_and_right(name: str, tmp_path: Path) -> None:
    row = run_fault(FAULTS[name], tmp_path, short=True, symbols=_SYMBOLS)
    print_rows([row], Console(width=140))
    assert row.good
    assert row.in_flight >= LEAST_IN_FLIGHT
