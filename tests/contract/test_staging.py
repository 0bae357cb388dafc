"""One suite over both ways of staging, on every S3 server."""

import hashlib
import io
import zipfile
import zlib

import msgspec
import pytest

from pipeline.archive.manifest import ManifestRow, StagedPage
from pipeline.archive.member_block import pack_members
from pipeline.archive.members import ZipMember, make_member
from pipeline.archive.packed_chunk import PackedChunk, row_lines
from pipeline.archive.staged_zip import ROWS
from pipeline.errors import ObjectMissingError
from pipeline.model.chunks import StagedBytes
from pipeline.model.layout import Layout
from pipeline.storage.bucket import Bucket
from pipeline.storage.staging import Chunk, StagedChunkDamagedError, Staging, make_staging
from tests.s3_servers import EVERY_S3

pytestmark = EVERY_S3

TASK = "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"
OTHER = "8d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"
IMAGES = [b"first image", b"second image, longer", bytes(range(256))]


@pytest.fixture(params=["zip", "object"])
def staging(request: pytest.FixtureRequest, staging_bucket: Bucket) -> Staging:
    return make_staging(request.param, staging_bucket)


def rows(images: list[bytes], ending: str = "png") -> list[ManifestRow]:
    return [
        ManifestRow(
            index=index,
            file=f"{index:05}_Ü.{ending}",
            gtin="09506000134352",
            lot=None,
            serial="x",
            expiry=None,
            uri="https://id.gs1.org/01/09506000134352/21/x",
            version=4,
            error_correction="M",
            module_px=9,
            sha256=hashlib.sha256(image).hexdigest(),
        )
        for index, image in enumerate(images, 1)
    ]


#: The bytes of three pages in ``symbols.pdf``, of which ``IMAGES`` are the content streams.
RUN = b"".join(b"page " + image + b" end" for image in IMAGES)


def page_rows() -> list[ManifestRow]:
    return [
        msgspec.structs.replace(
            row,
            file="symbols.pdf",
            page=row.index,
            staged_page=StagedPage(len(image) + 9, zlib.crc32(b"page " + image + b" end")),
        )
        for row, image in zip(rows(IMAGES), IMAGES, strict=True)
    ]


def stage_run(staging: Staging) -> StagedBytes:
    return staging.stage(TASK, 0, page_rows(), [RUN])


def stage(
    staging: Staging, task_id: str = TASK, chunk: int = 0, ending: str = "png"
) -> StagedBytes:
    return staging.stage(task_id, chunk, rows(IMAGES, ending), IMAGES)


def expected_chunk(ending: str = "png") -> Chunk:
    named = zip(rows(IMAGES, ending), IMAGES, strict=True)
    return Chunk(rows(IMAGES, ending), [make_member(row.file, image) for row, image in named])


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_what_is_staged_is_read_back_in_order(staging: Staging, ending: str) -> None:
    staged = stage(staging, ending=ending)
    assert staging.read_rows(TASK, 0, staged) == rows(IMAGES, ending)
    assert staging.read_chunk(TASK, 0, staged) == expected_chunk(ending)


def test_staging_twice_is_staging_once(staging: Staging, staging_bucket: Bucket) -> None:
    first = stage(staging)
    before = {key: staging_bucket.get(key) for key in staging_bucket.list_keys("")}
    assert stage(staging) == first
    assert {key: staging_bucket.get(key) for key in staging_bucket.list_keys("")} == before


def test_a_chunk_never_staged_is_missing(staging: Staging) -> None:
    staged = stage(staging)
    for read in (staging.read_rows, staging.read_chunk):
        with pytest.raises(ObjectMissingError):
            read(TASK, 1, staged)


def test_changed_bytes_are_found_out(staging: Staging, staging_bucket: Bucket) -> None:
    staged = stage(staging)
    for key in [*staging_bucket.list_keys("")]:
        whole = staging_bucket.get(key)
        changed = whole.replace(b"second", b"SECOND").replace(b"id.gs1.org", b"id.gs1.orG")
        staging_bucket.put(key, changed)
    with pytest.raises(StagedChunkDamagedError):
        staging.read_rows(TASK, 0, staged)
    with pytest.raises(StagedChunkDamagedError):
        staging.read_chunk(TASK, 0, staged)


@pytest.mark.parametrize("left", [0, 10, 100])
def test_objects_that_are_cut_off_are_found_out(
    staging: Staging, staging_bucket: Bucket, left: int
) -> None:
    staged = stage(staging)
    for key in [*staging_bucket.list_keys("")]:
        staging_bucket.put(key, staging_bucket.get(key)[:left])
    for read in (staging.read_rows, staging.read_chunk):
        with pytest.raises(StagedChunkDamagedError):
            read(TASK, 0, staged)


def test_a_changed_image_alone_is_found_out(staging: Staging, staging_bucket: Bucket) -> None:
    staged = stage(staging)
    for key in [*staging_bucket.list_keys("")]:
        staging_bucket.put(key, staging_bucket.get(key).replace(b"second", b"SECOND"))
    assert staging.read_rows(TASK, 0, staged) == rows(IMAGES)
    with pytest.raises(StagedChunkDamagedError):
        staging.read_chunk(TASK, 0, staged)


def test_a_run_of_pages_is_read_back_as_one_file(staging: Staging) -> None:
    staged = stage_run(staging)
    assert staging.read_rows(TASK, 0, staged) == page_rows()
    expected = Chunk(page_rows(), [make_member("symbols.pdf", RUN)])
    assert staging.read_chunk(TASK, 0, staged) == expected
    assert isinstance(expected.members[0], ZipMember)
    assert expected.members[0].method == zipfile.ZIP_STORED


def test_a_run_of_pages_staged_twice_is_staged_once(
    staging: Staging, staging_bucket: Bucket
) -> None:
    first = stage_run(staging)
    before = {key: staging_bucket.get(key) for key in staging_bucket.list_keys("")}
    assert stage_run(staging) == first
    assert {key: staging_bucket.get(key) for key in staging_bucket.list_keys("")} == before


def test_a_damaged_run_of_pages_is_found_out(staging: Staging, staging_bucket: Bucket) -> None:
    staged = stage_run(staging)
    for key in [*staging_bucket.list_keys("")]:
        staging_bucket.put(key, staging_bucket.get(key).replace(b"second", b"SECOND"))
    assert staging.read_rows(TASK, 0, staged) == page_rows()
    with pytest.raises(StagedChunkDamagedError):
        staging.read_chunk(TASK, 0, staged)


def test_changed_lengths_of_pages_are_found_out(staging: Staging, staging_bucket: Bucket) -> None:
    staged = stage_run(staging)
    for key in [*staging_bucket.list_keys("")]:
        old = b'"staged_page":[%d,' % (len(IMAGES[1]) + 9)
        new = b'"staged_page":[%d,' % (len(IMAGES[1]) + 8)
        staging_bucket.put(key, staging_bucket.get(key).replace(old, new))
    for read in (staging.read_rows, staging.read_chunk):
        with pytest.raises(StagedChunkDamagedError):
            read(TASK, 0, staged)


def test_a_missing_run_of_pages_is_missing(staging: Staging, staging_bucket: Bucket) -> None:
    staged = stage_run(staging)
    for key in [*staging_bucket.list_keys("")]:
        if not key.endswith(ROWS):
            staging_bucket.delete(key)
    with pytest.raises(ObjectMissingError):
        staging.read_chunk(TASK, 0, staged)


def test_one_job_is_dropped_and_no_other(staging: Staging, staging_bucket: Bucket) -> None:
    stage(staging)
    stage(staging, TASK, 1)
    kept = stage(staging, OTHER)
    staging.drop(TASK)
    staging.drop(TASK)
    assert all(key.startswith(OTHER) for key in staging_bucket.list_keys(""))
    assert staging.read_chunk(OTHER, 0, kept) == expected_chunk()


def test_a_change_that_a_reader_of_the_zip_would_not_see_is_found_out(
    staging_bucket: Bucket,
) -> None:
    staging = make_staging("zip", staging_bucket)
    staged = stage(staging)
    (key,) = staging_bucket.list_keys("")
    whole = bytearray(staging_bucket.get(key))
    directory = whole.index(b"PK\x01\x02")
    whole[directory + 38] ^= 1  # an attribute of the first member
    staging_bucket.put(key, bytes(whole))
    with pytest.raises(StagedChunkDamagedError):
        staging.read_chunk(TASK, 0, staged)


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_any_zip_tool_reads_a_staged_zip(staging_bucket: Bucket, ending: str) -> None:
    staged = stage(make_staging("zip", staging_bucket), ending=ending)
    (key,) = staging_bucket.list_keys("")
    whole = staging_bucket.get(key)
    assert len(whole) == staged.bytes
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        assert archive.testzip() is None
        names = [row.file for row in rows(IMAGES, ending)]
        assert archive.namelist() == [ROWS, *names]
        assert [archive.read(name) for name in names] == IMAGES
        methods = {archive.getinfo(name).compress_type for name in names}
    assert methods == {zipfile.ZIP_DEFLATED if ending == "svg" else zipfile.ZIP_STORED}


def test_one_object_an_image_can_be_read_singly(staging_bucket: Bucket) -> None:
    stage(make_staging("object", staging_bucket))
    images = {
        key.rpartition("/")[2]: staging_bucket.get(key) for key in staging_bucket.list_keys("")
    }
    assert [images[row.file] for row in rows(IMAGES)] == IMAGES


def pack() -> PackedChunk:
    """Return the chunk as a worker packs it."""
    members = expected_chunk().members
    assert isinstance(members, list)
    return PackedChunk(
        row_lines(Layout(datamerge=True), rows(IMAGES)),
        pack_members(members, (2026, 11, 29, 8, 0, 0)),
    )


def stage_packed(staging: Staging) -> StagedBytes:
    return staging.stage(TASK, 0, rows(IMAGES), IMAGES, pack())


def test_a_packed_chunk_is_read_back_as_it_was_packed(staging_bucket: Bucket) -> None:
    staging, packed = make_staging("zip", staging_bucket), pack()
    staged = stage_packed(staging)
    assert stage_packed(staging) == staged
    (key,) = staging_bucket.list_keys("")
    chunk = staging.read_chunk(TASK, 0, staged)
    for lines in (chunk.rows, staging.read_rows(TASK, 0, staged)):
        assert not isinstance(lines, list)
        assert lines.rows() == rows(IMAGES)
        assert lines._replace(encoded=b"") == packed.lines
    assert chunk.members[0] == packed.block.data
    # Release 0.2.0 reads the same object, with the fields of the record that it knows.
    older = msgspec.structs.replace(staged, text=None)
    assert staging.read_rows(TASK, 0, older) == rows(IMAGES)
    assert staging.read_chunk(TASK, 0, older) == expected_chunk()
    with zipfile.ZipFile(io.BytesIO(staging_bucket.get(key))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [ROWS, *(row.file for row in rows(IMAGES))]
        assert [archive.read(row.file) for row in rows(IMAGES)] == IMAGES


def test_damage_to_any_byte_of_a_packed_chunk_is_found_out(staging_bucket: Bucket) -> None:
    staging = make_staging("zip", staging_bucket)
    staged = stage_packed(staging)
    assert staged.text is not None
    (key,) = staging_bucket.list_keys("")
    whole = staging_bucket.get(key)
    text = whole.index(b"[") + staged.rows_bytes
    lines = (text, text + staged.text.csv, text + staged.text.bytes - 1)
    for place in (*lines, text + staged.text.bytes, len(whole) - 1):
        changed = bytearray(whole)
        changed[place] ^= 1
        staging_bucket.put(key, bytes(changed))
        with pytest.raises(StagedChunkDamagedError):
            staging.read_chunk(TASK, 0, staged)
        if place in lines:
            with pytest.raises(StagedChunkDamagedError):
                staging.read_rows(TASK, 0, staged)
    for left in (0, text - 1, text + 1):
        staging_bucket.put(key, whole[:left])
        for read in (staging.read_rows, staging.read_chunk):
            with pytest.raises(StagedChunkDamagedError):
                read(TASK, 0, staged)


def test_single_objects_are_staged_of_a_packed_chunk_too(staging_bucket: Bucket) -> None:
    staging = make_staging("object", staging_bucket)
    staged = stage_packed(staging)
    assert staged == stage(staging)
    assert staging.read_chunk(TASK, 0, staged) == expected_chunk()
