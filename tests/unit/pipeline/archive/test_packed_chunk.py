"""Packed chunks give the bytes of members that are written one by one, however a job is divided."""

import time
import zipfile
from collections.abc import Sequence

import msgspec
import pytest

from pipeline.archive.bundle import stream_archive
from pipeline.archive.chunk_files import make_members
from pipeline.archive.manifest import ManifestRow
from pipeline.archive.member_block import MemberBlock, moved_directory, pack_members
from pipeline.archive.members import ZipMember, read_members, store_member
from pipeline.archive.packed_chunk import PackedChunk, RowLines, pack_chunk
from pipeline.archive.staged_zip import (
    ROWS_OFFSET,
    encode_rows,
    packed_zip,
    staged_block,
    staged_lines,
)
from pipeline.archive.zip_stream import MemberStream
from pipeline.ledger.entries import ChunkWork
from pipeline.model.jobs import Item
from pipeline.model.layout import Layout
from pipeline.model.records import JobFields
from pipeline.rendering import render_items
from render.image import ImageFormat

ITEMS = [
    Item('L"a,b' if index % 3 else None, f"S/{index}" if index % 4 else None, "271231")
    for index in range(13)
]
LAYOUTS: dict[str, tuple[ImageFormat, Layout]] = {
    "png": ("png", Layout()),
    "svg": ("svg", Layout(outlines=True, xdim_mm=0.495)),
    "pdf": ("pdf", Layout(xdim_mm=0.495)),
    "eps": ("eps", Layout(xdim_mm=0.5)),
    "datamerge": ("svg", Layout(datamerge=True)),
}
#: The largest offset without ZIP64.
LIMIT = (1 << 31) - 1
STAMP = (2026, 11, 29, 8, 30, 44)


def make_job(image_format: ImageFormat, layout: Layout, chunk_size: int) -> JobFields:
    return JobFields(
        task_id="task",
        key_id="key",
        key_name="name",
        request_id="",
        created_at=1_795_000_001_000,
        gtin="09506000134352",
        format=image_format,
        size=120,
        error_correction="M",
        link_base="https://id.gs1.org",
        items=len(ITEMS),
        chunk_size=chunk_size,
        callback_url="",
        layout=layout,
    )


def render(job: JobFields) -> list[tuple[list[ManifestRow], list[bytes]]]:
    made = []
    for index in range(job.chunks):
        first = index * job.chunk_size
        chunk = render_items(
            ChunkWork(job, index, "", 1, 0, 0), ITEMS[first : first + job.chunk_size]
        )
        rows = [msgspec.structs.replace(row, verified=row.index % 2 == 0) for row in chunk.rows]
        made.append((rows, chunk.files))
    return made


def bundle(
    job: JobFields,
    rows: Sequence[list[ManifestRow] | RowLines],
    members: Sequence[list[ZipMember] | MemberBlock],
) -> bytes:
    return b"".join(stream_archive(job.accepted_at, rows, members, b"{}", job.layout))


def one_by_one(job: JobFields) -> bytes:
    chunks = render(job)
    return bundle(job, [rows for rows, _ in chunks], [make_members(*chunk) for chunk in chunks])


def through_staging(rows: Sequence[ManifestRow], packed: PackedChunk) -> PackedChunk:
    """Return a packed chunk as it comes back from its staged ZIP."""
    encoded = encode_rows(rows)
    record, data = packed_zip(encoded, packed)
    whole = memoryview(data)
    return PackedChunk(
        staged_lines(whole[ROWS_OFFSET:], len(encoded), record),
        staged_block(whole, len(encoded), record),
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_bundle_has_the_same_bytes_packed_or_not_staged_or_not_and_in_any_chunks(
    name: str,
) -> None:
    image_format, layout = LAYOUTS[name]
    expected = one_by_one(make_job(image_format, layout, len(ITEMS)))
    for size in (1, 5, len(ITEMS)):
        job = make_job(image_format, layout, size)
        assert one_by_one(job) == expected
        packed = []
        for rows, files in render(job):
            chunk = pack_chunk(job, rows, files)
            assert chunk is not None
            packed.append((rows, files, chunk))
        direct = [chunk for *_, chunk in packed]
        staged = [through_staging(rows, chunk) for rows, _, chunk in packed]
        for chunks in (direct, staged):
            found = bundle(job, [each.lines for each in chunks], [each.block for each in chunks])
            assert found == expected
        # Chunks of a release that does not pack them are mixed with the others.
        mixed = [
            (rows, make_members(rows, files)) if place % 2 else staged[place]
            for place, (rows, files, _) in enumerate(packed)
        ]
        assert bundle(job, [each[0] for each in mixed], [each[1] for each in mixed]) == expected


def test_lines_with_other_columns_are_made_again_from_the_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another release may have staged the chunk."""
    job = make_job("svg", Layout(datamerge=True), len(ITEMS))
    expected = one_by_one(job)
    ((rows, files),) = render(job)
    for changed in ("manifest_columns", "merge_columns"):
        with monkeypatch.context() as patch:
            patch.setattr(
                f"pipeline.archive.packed_chunk.{changed}",
                lambda _: {"index": "index", "uri": "uri"},
            )
            packed = pack_chunk(job, rows, files)
        assert packed is not None
        lines, block = through_staging(rows, packed)
        assert bundle(job, [lines], [block]) == expected


def test_elements_of_the_manifest_may_differ_from_the_staged_rows() -> None:
    job = make_job("png", Layout(), len(ITEMS))
    ((rows, files),) = render(job)
    packed = pack_chunk(job, rows, files)
    assert packed is not None
    other = packed._replace(lines=packed.lines._replace(json=b'{"index":1}'))
    assert through_staging(rows, other).lines.json == b'{"index":1}'
    record, _ = packed_zip(encode_rows(rows), packed)
    assert record.json == 0


def test_release_0_2_0_reads_a_packed_chunk_by_its_directory() -> None:
    """Its reader takes the first member for the rows, and all others for images."""
    job = make_job("svg", Layout(), len(ITEMS))
    ((rows, files),) = render(job)
    packed = pack_chunk(job, rows, files)
    assert packed is not None
    encoded = encode_rows(rows)
    _, data = packed_zip(encoded, packed)
    assert data[ROWS_OFFSET : ROWS_OFFSET + len(encoded)] == encoded
    assert msgspec.json.decode(encoded, type=list[ManifestRow]) == rows
    first, *members = read_members(data)
    assert (first.name, first.data) == ("rows.json", encoded)
    assert members == make_members(rows, files)


def test_pages_are_not_packed() -> None:
    job = make_job("pdf", Layout(pages="single"), len(ITEMS))
    ((rows, files),) = render(job)
    assert pack_chunk(job, rows, files) is None


MEMBERS = [store_member(f"{index:05}_Ü.png"[: 9 + index % 3], bytes(index)) for index in range(9)]
#: From the start of the block to the header of the last member.
LAST = sum(30 + len(member.name.encode()) + member.size for member in MEMBERS[:-1])


@pytest.mark.parametrize("start", [0, 1, LIMIT - LAST, LIMIT - LAST + 1, LIMIT, 1 << 32, 1 << 40])
@pytest.mark.parametrize("base", [0, 12345])
def test_a_directory_that_is_moved_is_that_of_the_library(start: int, base: int) -> None:
    """At the offset from which the library writes ZIP64, and on both sides of it."""
    expected = MemberStream(STAMP)
    expected._pos = start
    data = b"".join(map(expected.copy, MEMBERS))
    block = pack_members(MEMBERS, STAMP)
    assert block.data == data
    staged = block._replace(directory=moved_directory(block, base), base=base)
    assert moved_directory(staged, start) == b"".join(expected._filelist)
    found = MemberStream(STAMP)
    found._pos = start
    assert found.copy_block(staged) == data
    assert (found._pos, len(found._filelist)) == (expected._pos, len(expected._filelist))
    assert b"".join(found.finalize()) == b"".join(expected.finalize())


def test_a_block_that_zip64_would_have_to_describe_is_refused() -> None:
    class Large(bytes):
        def __len__(self) -> int:
            return LIMIT

    with pytest.raises(zipfile.LargeZipFile):
        pack_members([MEMBERS[0]._replace(data=Large()), MEMBERS[1]], STAMP)


def test_the_time_of_the_members_is_that_of_the_job() -> None:
    job = make_job("png", Layout(), len(ITEMS))
    ((rows, files),) = render(job)
    packed = pack_chunk(job, rows, files)
    assert packed is not None
    expected = pack_members(make_members(rows, files), time.gmtime(job.accepted_at)[:6])
    assert packed.block == expected
