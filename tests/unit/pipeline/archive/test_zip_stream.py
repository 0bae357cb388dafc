import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.archive.members import ZipMember, make_member, store_member
from pipeline.archive.zip_stream import MemberStream

STAMP = (2026, 11, 23, 12, 30, 44)
#: More than the 65,535 members that an end record without ZIP64 can count (APPNOTE.TXT 6.3.10,
#: section 4.4.1.4).
MANY = 70_000
#: More than the 4 GiB that an offset without ZIP64 can tell.
MEBIBYTE = 1024 * 1024
LARGE, LARGE_COUNT = 64 * MEBIBYTE, 66


def pieces(members: Iterator[ZipMember]) -> Iterator[bytes]:
    stream = MemberStream(STAMP)
    stream.add([b"one", b"two"], "streamed.txt", compress_type=zipfile.ZIP_DEFLATED)
    yield from stream.file()
    yield from map(stream.copy, members)
    yield from stream.finalize()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("zip") / "many.zip"
    members = (make_member(f"{index:05}.svg", b"%d" % index) for index in range(MANY))
    with path.open("wb") as file:
        file.writelines(pieces(members))
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of over 4 GiB, most of it holes in its file."""
    path = tmp_path_factory.mktemp("zip") / "large.zip"
    zeros = store_member("", bytes(LARGE))
    members = [zeros._replace(name=f"{index:05}.png") for index in range(LARGE_COUNT)]
    members.append(make_member("last.svg", b"the last one"))
    with path.open("wb") as file:
        for piece in pieces(iter(members)):
            if len(piece) > LARGE:
                file.write(piece[:-LARGE])
                file.seek(LARGE, 1)
            else:
                file.write(piece)
    return path


def test_more_members_than_a_plain_zip_can_count(many: Path) -> None:
    with zipfile.ZipFile(many) as opened:
        assert len(opened.infolist()) == MANY + 1
        assert opened.testzip() is None
        assert opened.read("streamed.txt") == b"onetwo"
        assert opened.read(f"{MANY - 1:05}.svg") == b"%d" % (MANY - 1)


def test_members_behind_four_gibibytes(large: Path) -> None:
    assert large.stat().st_size > 1 << 32
    with zipfile.ZipFile(large) as opened:
        names = opened.namelist()
        assert names == ["streamed.txt", *(f"{i:05}.png" for i in range(LARGE_COUNT)), "last.svg"]
        assert opened.getinfo("last.svg").header_offset > 1 << 32
        assert opened.read("last.svg") == b"the last one"


@pytest.mark.parametrize(
    ("archive", "command"),
    [
        ("many", ["unzip", "-t", "-qq"]),
        ("many", ["7z", "t", "-bso0"]),
        ("large", ["unzip", "-l", "-qq"]),
        ("large", ["7z", "l"]),
    ],
)
def test_other_readers_find_no_fault(
    request: pytest.FixtureRequest, archive: str, command: list[str]
) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed; `make debian-packages` installs it")
    path: Path = request.getfixturevalue(archive)
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if archive == "large":
        assert "last.svg" in done.stdout


def test_the_directory_is_the_same_in_runs_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    members = [make_member(f"{index:05}.svg", b"%d" % index) for index in range(50)]
    kept = b"".join(pieces(iter(members)))
    monkeypatch.setattr("pipeline.archive.zip_stream._RUN_BYTES", 300)
    assert b"".join(pieces(iter(members))) == kept
