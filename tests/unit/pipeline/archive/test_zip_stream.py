import io
import shutil
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random
from zipfile import (
    ZIP64_LIMIT,
    ZIP_FILECOUNT_LIMIT,
    sizeFileHeader,
    stringEndArchive64,
    structFileHeader,
)

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.archive.members import SpooledFile, ZipMember, make_member, store_member
from pipeline.archive.zip_stream import MemberStream

STAMP = (2026, 11, 23, 12, 30, 44)
#: More than the 65,535 members that an end record without ZIP64 can count (APPNOTE.TXT 6.3.10,
#: section 4.4.1.4).
MANY = 70_000
#: More than the 4 GiB that an offset without ZIP64 can tell.
MEBIBYTE = 1024 * 1024
LARGE, LARGE_COUNT = 64 * MEBIBYTE, 66
#: Flag of a local file header whose size and checksum follow the data (APPNOTE.TXT 6.3.10,
#: section 4.4.4).
_DATA_DESCRIPTOR = 0x08


def pieces(members: Iterator[ZipMember]) -> Iterator[bytes]:
    stream = MemberStream(STAMP)
    with SpooledFile() as file:
        file.write(b"one")
        file.write(b"two")
        file.close()
        yield from stream.copy_spooled("spooled.txt", file)
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
        assert opened.read("spooled.txt") == b"onetwo"
        assert opened.read(f"{MANY - 1:05}.svg") == b"%d" % (MANY - 1)


def test_members_behind_four_gibibytes(large: Path) -> None:
    assert large.stat().st_size > 1 << 32
    with zipfile.ZipFile(large) as opened:
        names = opened.namelist()
        assert names == ["spooled.txt", *(f"{i:05}.png" for i in range(LARGE_COUNT)), "last.svg"]
        assert opened.getinfo("last.svg").header_offset > 1 << 32
        assert opened.read("last.svg") == b"the last one"


@pytest.mark.parametrize("command", [["unzip", "-l", "-qq"], ["7z", "l"]])
def test_other_readers_list_members_behind_four_gibibytes(large: Path, command: list[str]) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed; `make debian-packages` installs it")
    done = subprocess.run([*command, str(large)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "last.svg" in done.stdout


@pytest.mark.parametrize("count", [0, 1, ZIP_FILECOUNT_LIMIT - 2, ZIP_FILECOUNT_LIMIT - 1])
def test_zip64_is_used_only_where_the_count_needs_it(count: int) -> None:
    """65,534 members fit the end record; 65,535 is the value that refers to ZIP64."""
    members = (make_member(f"{index:05}.svg", b"") for index in range(count))
    data = b"".join(pieces(members))
    assert (stringEndArchive64 in data) == (count + 1 >= ZIP_FILECOUNT_LIMIT)
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert len(opened.infolist()) == count + 1
        assert all(not member.extra for member in opened.infolist())


def test_zip64_is_used_only_for_members_that_begin_behind_four_gibibytes(large: Path) -> None:
    with zipfile.ZipFile(large) as opened:
        for member in opened.infolist():
            assert bool(member.extra) == (member.header_offset > ZIP64_LIMIT), member


def test_every_local_header_has_the_size_and_checksum_and_no_data_descriptor(many: Path) -> None:
    with zipfile.ZipFile(many) as opened, many.open("rb") as file:
        for member in opened.infolist():
            file.seek(member.header_offset)
            header = struct.unpack(structFileHeader, file.read(sizeFileHeader))
            flags, crc, packed, size = header[3], header[7], header[8], header[9]
            assert not flags & _DATA_DESCRIPTOR
            assert (crc, packed, size) == (member.CRC, member.compress_size, member.file_size)


@given(st.lists(st.binary(max_size=3000), max_size=40), st.integers(1, 5000))
def test_a_spooled_file_is_what_was_written_whatever_the_pieces(
    written: list[bytes], piece: int
) -> None:
    with SpooledFile() as file:
        for data in written:
            file.write(data)
        file.close()
        deflated = [*file.pieces(piece)]
    whole = b"".join(written)
    assert zlib.decompress(b"".join(deflated), -15) == whole
    assert (file.size, file.crc) == (len(whole), zlib.crc32(whole))
    assert file.compressed_size == sum(map(len, deflated))
    assert max(map(len, deflated)) <= piece


def test_a_large_spooled_file_goes_to_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.archive.members._SPOOL_BYTES", 1000)
    random = Random(1).randbytes(5000)
    with SpooledFile() as file:
        file.write(random)
        file.close()
        assert file._spool._rolled
        assert zlib.decompress(b"".join(file.pieces(300)), -15) == random


@pytest.mark.parametrize("mode", [None, 0o600])
def test_members_have_the_permissions_of_the_stream(mode: int | None) -> None:
    stream = MemberStream(STAMP) if mode is None else MemberStream(STAMP, mode)
    data = stream.copy(make_member("a.svg", b"<svg/>")) + b"".join(stream.finalize())
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.getinfo("a.svg").external_attr >> 16 == (mode or 0o644)


def test_the_directory_is_the_same_in_runs_of_any_length(monkeypatch: pytest.MonkeyPatch) -> None:
    members = [make_member(f"{index:05}.svg", b"%d" % index) for index in range(50)]
    kept = b"".join(pieces(iter(members)))
    monkeypatch.setattr("pipeline.archive.zip_stream._RUN_BYTES", 300)
    assert b"".join(pieces(iter(members))) == kept
