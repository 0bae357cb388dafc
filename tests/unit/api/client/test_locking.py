"""The lock of a download, with flock and, as on Windows, without."""

from pathlib import Path

import pytest

from api.client import locking
from api.client.locking import LockedError, lock_file


@pytest.fixture(params=[True, False], ids=["flock", "lock file"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(locking, "_HAS_FLOCK", request.param)
    return tmp_path / "bundle.zip.part"


def test_only_one_has_the_lock(path: Path) -> None:
    with lock_file(path):
        path.write_bytes(b"x")
        for _ in range(2):  # a refusal releases nothing
            with pytest.raises(LockedError), lock_file(path):
                pass
    with lock_file(path):
        pass
    assert [*path.parent.iterdir()] == [path]


def test_an_empty_file_is_deleted_also_after_an_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError), lock_file(path):
        path.with_name("nothing").stat()
    assert [*path.parent.iterdir()] == []


def test_the_file_may_be_renamed_while_it_is_locked(path: Path) -> None:
    target = path.with_name("bundle.zip")
    with lock_file(path):
        path.write_bytes(b"x")
        path.replace(target)
    assert [*path.parent.iterdir()] == [target]


def test_a_lock_file_is_no_open_file_of_the_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locking, "_HAS_FLOCK", False)
    path = tmp_path / "bundle.zip.part"
    with lock_file(path):  # Windows could not rename the part if it were open
        assert [*tmp_path.iterdir()] == [tmp_path / "bundle.zip.part.lock"]
