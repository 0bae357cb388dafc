import os
from pathlib import Path

import pytest

from deploy.embedded.files import make_private_directory, write_private


def test_a_written_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", b"one")
        made = make_private_directory(tmp_path / "a" / "b")
    finally:
        os.umask(before)
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert made.stat().st_mode & 0o777 == 0o700


def test_writing_replaces_the_whole_file_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, b"a long content")
    with path.open("rb") as reader:
        write_private(path, b"short")
        assert reader.read() == b"a long content"  # a reader keeps the old one, whole
    assert path.read_bytes() == b"short"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    (path / "by a directory").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_private(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
