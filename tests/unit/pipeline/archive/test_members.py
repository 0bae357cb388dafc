import io
import zipfile
import zlib

from hypothesis import given
from hypothesis import strategies as st

from pipeline.archive.members import ZipMember, make_member, read_members
from pipeline.archive.zip_stream import MemberStream

STAMP = (2026, 11, 23, 12, 30, 44)
files = st.binary(max_size=300) | st.builds(bytes.__mul__, st.binary(max_size=20), st.just(40))
names = st.builds(
    "{:05}{}.{}".format,
    st.integers(0, 99_999),
    st.text(st.characters(codec="utf-8", exclude_characters="\0/"), max_size=20),
    st.sampled_from(["svg", "png"]),
)


def write(members: list[ZipMember]) -> bytes:
    stream = MemberStream(STAMP)
    return b"".join((*map(stream.copy, members), *stream.finalize()))


@given(st.dictionaries(names, files, max_size=8))
def test_another_reader_finds_every_file_as_it_was(given_files: dict[str, bytes]) -> None:
    archive = write([make_member(name, file) for name, file in given_files.items()])
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        assert opened.testzip() is None
        assert {name: opened.read(name) for name in opened.namelist()} == given_files
        assert {found.date_time for found in opened.infolist()} <= {STAMP}


@given(st.dictionaries(names, files, max_size=8))
def test_members_are_read_back_as_they_were_written(given_files: dict[str, bytes]) -> None:
    members = [make_member(name, file) for name, file in given_files.items()]
    assert [*read_members(write(members))] == members


def test_svg_is_deflated_and_png_is_not() -> None:
    file = b"<svg/>" * 100
    deflated = make_member("a.svg", file)
    assert len(deflated.data) < len(file) / 4
    assert zlib.decompress(deflated.data, -15) == file
    assert make_member("a.png", file).data == file
