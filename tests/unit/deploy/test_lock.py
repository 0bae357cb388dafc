import fcntl
import os
from pathlib import Path

import pytest

from deploy.embedded.lock import DataDirectoryInUseError, locked


def test_a_second_holder_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        locked(path),
        pytest.raises(DataDirectoryInUseError, match=f"in use by process {os.getpid()}"),
        locked(path),
    ):
        pytest.fail("two held it")


def test_the_lock_is_free_again_at_the_end(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "lock") as descriptor:
            assert os.pread(descriptor, 32, 0) == str(os.getpid()).encode()


def test_a_duplicate_keeps_it_held_as_a_part_of_a_killed_stack_does(tmp_path: Path) -> None:
    with locked(tmp_path / "lock") as descriptor:
        duplicate = os.dup(descriptor)
    try:
        with (tmp_path / "lock").open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(duplicate)
