"""Staging: rendered chunks in S3 until they are bundled.

A chunk is stored in one of two layouts behind one protocol. :class:`ZipStaging` writes one ZIP per
chunk: first the rows, then the images as they appear in the bundle. This layout is the default,
because one request to S3 costs more CPU time than rendering a whole chunk. :class:`ObjectStaging`
writes one object per image, for systems that read single images from the staging bucket. A chunk of
a job with ``pages=single`` has one file in place of images: the bytes that its pages have in
``symbols.pdf``.

Between the rows and the images, a packed chunk has its lines of the manifests, which belong to no
member of the ZIP (:class:`pipeline.model.chunks.StagedText`). With them, bundling only copies
bytes. Release 0.2.0 reads the chunk by its central directory, and so reads the rows and the images.

Both layouts are idempotent: staging a chunk again writes the same bytes at the same keys. Only the
bytes of another release, or of a worker with another ``QRMILL_VERIFY``, may differ; the digests in
the ledger's record then reveal whether the bytes are those that were recorded.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from pipeline.archive.chunk_files import file_names, make_members
from pipeline.archive.manifest import ManifestRow, decode_rows
from pipeline.archive.member_block import MemberBlock
from pipeline.archive.members import ZipMember, make_member, read_members
from pipeline.archive.packed_chunk import PackedChunk, RowLines
from pipeline.archive.staged_zip import (
    ROWS,
    ROWS_OFFSET,
    encode_rows,
    packed_zip,
    plain_zip,
    staged_block,
    staged_lines,
)
from pipeline.errors import ObjectShortError
from pipeline.model.chunks import StagedBytes, StagedText
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from render.image import MEDIA_TYPES


class Chunk(NamedTuple):
    """A chunk's rows and its files, in the order in which the rows name them.

    Both are packed if the chunk was staged so.
    """

    rows: list[ManifestRow] | RowLines
    members: list[ZipMember] | MemberBlock


class StagedChunkDamagedError(Exception):
    """Raised when a staged chunk differs from its record in the ledger."""


class Staging(Protocol):
    """A store for rendered chunks.

    Every method raises:
        StoreUnavailableError: S3 does not respond, or returns an error.
    """

    def stage(
        self,
        task_id: str,
        chunk_index: int,
        rows: Sequence[ManifestRow],
        files: Sequence[bytes],
        packed: PackedChunk | None = None,
    ) -> StagedBytes:
        """Write a chunk.

        Args:
            task_id: id of the job.
            chunk_index: index of the chunk, counted from 0.
            rows: manifest rows of the chunk's items.
            files: the files that the rows name, in the order of their first row.
            packed: the rows and files as the bundle has them, if they can be staged so.

        Returns:
            The sizes and digests to record in the ledger.
        """

    def read_rows(
        self, task_id: str, chunk_index: int, staged: StagedBytes
    ) -> list[ManifestRow] | RowLines:
        """Return a chunk's rows, packed if they were staged so.

        Raises:
            StagedChunkDamagedError: the rows differ from those that were staged.
            ObjectMissingError: the rows do not exist.
        """

    def read_chunk(self, task_id: str, chunk_index: int, staged: StagedBytes) -> Chunk:
        """Return a chunk's rows and files.

        Raises:
            StagedChunkDamagedError: a row or a file differs from what was staged.
            ObjectMissingError: an object of the chunk does not exist.
        """

    def drop(self, task_id: str) -> None:
        """Delete all staged chunks of a job."""


class _BucketStaging:
    """The common base of both layouts."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def drop(self, task_id: str) -> None:
        """Delete all staged chunks of a job, in either layout."""
        self._bucket.delete_all(keys.staging_of(task_id))


class ZipStaging(_BucketStaging):
    """Staging with one ZIP per chunk, readable with any ZIP tool."""

    def stage(
        self,
        task_id: str,
        chunk_index: int,
        rows: Sequence[ManifestRow],
        files: Sequence[bytes],
        packed: PackedChunk | None = None,
    ) -> StagedBytes:
        """Write a chunk as one object."""
        encoded = encode_rows(rows)
        if packed is None:
            text, data = None, plain_zip(encoded, make_members(rows, files))
        else:
            text, data = packed_zip(encoded, packed)
        self._bucket.put(keys.staged_zip(task_id, chunk_index), data, "application/zip")
        return _staged(encoded, data, text)

    def read_rows(
        self, task_id: str, chunk_index: int, staged: StagedBytes
    ) -> list[ManifestRow] | RowLines:
        """Return a chunk's rows, from a ranged read of the chunk's object."""
        key = keys.staged_zip(task_id, chunk_index)
        size = staged.rows_bytes + (staged.text.bytes if staged.text else 0)
        try:
            data = self._bucket.get(key, ROWS_OFFSET, size)
        except ObjectShortError as error:
            raise StagedChunkDamagedError(f"{key} is truncated: {error}") from error
        rows = data[: staged.rows_bytes]
        if staged.text is None:
            return _checked_rows(key, rows, staged)
        _check_rows(key, rows, staged)
        if _sha256(data[staged.rows_bytes :]) != staged.text.sha256:
            raise StagedChunkDamagedError(f"{key}: the lines differ from the ledger's record")
        return staged_lines(memoryview(data), staged.rows_bytes, staged.text)

    def read_chunk(self, task_id: str, chunk_index: int, staged: StagedBytes) -> Chunk:
        """Return a chunk's rows and files from the chunk's object."""
        key = keys.staged_zip(task_id, chunk_index)
        data = self._bucket.get(key)
        if _sha256(data) != staged.sha256:
            raise StagedChunkDamagedError(f"{key} differs from the ledger's record")
        if staged.text is not None:
            whole = memoryview(data)
            lines = staged_lines(whole[ROWS_OFFSET:], staged.rows_bytes, staged.text)
            return Chunk(lines, staged_block(whole, staged.rows_bytes, staged.text))
        _, *members = read_members(data)
        rows = data[ROWS_OFFSET : ROWS_OFFSET + staged.rows_bytes]
        return Chunk(_checked_rows(key, rows, staged), members)


class ObjectStaging(_BucketStaging):
    """Staging with one object per image, and one object for the chunk's rows."""

    def stage(
        self,
        task_id: str,
        chunk_index: int,
        rows: Sequence[ManifestRow],
        files: Sequence[bytes],
        packed: PackedChunk | None = None,  # noqa: ARG002 - an interface
    ) -> StagedBytes:
        """Write a chunk's files, then its rows; a packed chunk is written as any other."""
        for name, file in zip(file_names(rows), files, strict=True):
            kind = MEDIA_TYPES[name.rpartition(".")[2]]
            self._bucket.put(keys.staged_image(task_id, chunk_index, name), file, kind)
        encoded = msgspec.json.encode(rows)
        key = keys.staged_image(task_id, chunk_index, ROWS)
        self._bucket.put(key, encoded, "application/json")
        return _staged(encoded, b"".join((encoded, *files)))

    def read_rows(self, task_id: str, chunk_index: int, staged: StagedBytes) -> list[ManifestRow]:
        """Return a chunk's rows from their object."""
        key = keys.staged_image(task_id, chunk_index, ROWS)
        return _checked_rows(key, self._bucket.get(key), staged)

    def read_chunk(self, task_id: str, chunk_index: int, staged: StagedBytes) -> Chunk:
        """Return a chunk's rows and files, with one request per object."""
        key = keys.staged_image(task_id, chunk_index, ROWS)
        encoded = self._bucket.get(key)
        rows, digest = _checked_rows(key, encoded, staged), hashlib.sha256(encoded)
        members = []
        for name in file_names(rows):
            file = self._bucket.get(keys.staged_image(task_id, chunk_index, name))
            digest.update(file)
            members.append(make_member(name, file))
        if digest.hexdigest() != staged.sha256:
            raise StagedChunkDamagedError(f"a file beside {key} differs from the ledger's record")
        return Chunk(rows, members)


def make_staging(kind: str, bucket: Bucket) -> Staging:
    """Return the staging for a value of ``QRMILL_STAGING``: ``zip`` or ``object``."""
    return ZipStaging(bucket) if kind == "zip" else ObjectStaging(bucket)


def _staged(rows: bytes, data: bytes, text: StagedText | None = None) -> StagedBytes:
    return StagedBytes(
        sha256=_sha256(data),
        bytes=len(data),
        rows_sha256=_sha256(rows),
        rows_bytes=len(rows),
        text=text,
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _check_rows(key: str, data: bytes, staged: StagedBytes) -> None:
    if _sha256(data) != staged.rows_sha256:
        raise StagedChunkDamagedError(f"{key}: the rows differ from the ledger's record")


def _checked_rows(key: str, data: bytes, staged: StagedBytes) -> list[ManifestRow]:
    _check_rows(key, data, staged)
    return decode_rows(data)
