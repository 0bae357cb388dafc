"""Staging: rendered chunks in S3 until they are bundled.

Two ways of laying a chunk out, one protocol. :class:`ZipStaging` writes one ZIP a chunk: rows
first, then the images as the bundle will have them; a request to S3 costs more CPU than rendering a
whole chunk, so this is the default. :class:`ObjectStaging` writes one object an image, for those
who read single images from the staging bucket. Writing a chunk twice writes the same bytes at the
same keys.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from pipeline.archive.manifest import ManifestRow
from pipeline.archive.members import (
    HEADER_BYTES,
    ZipMember,
    make_member,
    read_members,
    store_member,
)
from pipeline.archive.zip_stream import MemberStream
from pipeline.errors import ObjectShortError
from pipeline.model.chunks import StagedBytes
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from render.image import MEDIA_TYPES

ROWS = "rows.json"
#: Where the rows' bytes begin in a staged ZIP: behind the local file header and the member's name.
_ROWS_OFFSET = HEADER_BYTES + len(ROWS)
#: The earliest time a ZIP can carry, so that staged bytes do not depend on the clock.
_EPOCH = (1980, 1, 1, 0, 0, 0)

_rows_decoder = msgspec.json.Decoder(list[ManifestRow])


class Chunk(NamedTuple):
    """A chunk's rows and its images, in the same order."""

    rows: list[ManifestRow]
    members: list[ZipMember]


class StagedChunkDamagedError(Exception):
    """What is staged is not what the ledger recorded."""


class Staging(Protocol):
    """Where rendered chunks wait. Every method may raise ``StoreUnavailableError``."""

    def stage(
        self,
        task_id: str,
        chunk_index: int,
        rows: Sequence[ManifestRow],
        images: Sequence[bytes],
        going_on: Callable[[], None],
    ) -> StagedBytes:
        """Write a chunk: ``rows`` and ``images`` in the same order.

        ``going_on`` is called before every request to S3.
        """

    def read_rows(self, task_id: str, chunk_index: int, staged: StagedBytes) -> list[ManifestRow]:
        """Return a chunk's rows.

        Raises:
            StagedChunkDamagedError: they are not what was staged.
            ObjectMissingError: they are gone.
        """

    def read_chunk(self, task_id: str, chunk_index: int, staged: StagedBytes) -> Chunk:
        """Return a chunk's rows and images.

        Raises:
            StagedChunkDamagedError: something of it is not what was staged.
            ObjectMissingError: something of it is gone.
        """

    def drop(self, task_id: str) -> None:
        """Remove all that is staged of a job."""


class _BucketStaging:
    """What the two ways have in common."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def drop(self, task_id: str) -> None:
        """Remove all that is staged of a job, in whichever way."""
        self._bucket.delete_all(keys.staging_of(task_id))


class ZipStaging(_BucketStaging):
    """One ZIP a chunk, readable with any ZIP tool."""

    def stage(
        self,
        task_id: str,
        chunk_index: int,
        rows: Sequence[ManifestRow],
        images: Sequence[bytes],
        going_on: Callable[[], None],
    ) -> StagedBytes:
        """Write a chunk as one object."""
        encoded = msgspec.json.encode(rows)
        named = zip((row.file for row in rows), images, strict=True)
        archive = MemberStream(_EPOCH)
        pieces = [archive.copy(store_member(ROWS, encoded))]
        pieces += [archive.copy(make_member(name, image)) for name, image in named]
        data = b"".join((*pieces, *archive.finalize()))
        going_on()
        self._bucket.put(keys.staged_zip(task_id, chunk_index), data, "application/zip")
        return _staged(encoded, data)

    def read_rows(self, task_id: str, chunk_index: int, staged: StagedBytes) -> list[ManifestRow]:
        """Return a chunk's rows, read as the range of the object that holds them."""
        key = keys.staged_zip(task_id, chunk_index)
        try:
            data = self._bucket.get(key, _ROWS_OFFSET, staged.rows_bytes)
        except ObjectShortError as error:
            raise StagedChunkDamagedError(f"{key} is cut off: {error}") from error
        return _checked_rows(key, data, staged)

    def read_chunk(self, task_id: str, chunk_index: int, staged: StagedBytes) -> Chunk:
        """Return a chunk's rows and images from its one object."""
        key = keys.staged_zip(task_id, chunk_index)
        data = self._bucket.get(key)
        if _sha256(data) != staged.sha256:
            raise StagedChunkDamagedError(f"{key} is not what the ledger recorded")
        _, *members = read_members(data)
        rows = data[_ROWS_OFFSET : _ROWS_OFFSET + staged.rows_bytes]
        return Chunk(_checked_rows(key, rows, staged), members)


class ObjectStaging(_BucketStaging):
    """One object an image, and one for the chunk's rows."""

    def stage(
        self,
        task_id: str,
        chunk_index: int,
        rows: Sequence[ManifestRow],
        images: Sequence[bytes],
        going_on: Callable[[], None],
    ) -> StagedBytes:
        """Write a chunk's images, then its rows."""
        for row, image in zip(rows, images, strict=True):
            kind = MEDIA_TYPES[row.file.rpartition(".")[2]]
            going_on()
            self._bucket.put(keys.staged_image(task_id, chunk_index, row.file), image, kind)
        encoded = msgspec.json.encode(rows)
        key = keys.staged_image(task_id, chunk_index, ROWS)
        going_on()
        self._bucket.put(key, encoded, "application/json")
        return _staged(encoded, b"".join((encoded, *images)))

    def read_rows(self, task_id: str, chunk_index: int, staged: StagedBytes) -> list[ManifestRow]:
        """Return a chunk's rows from their object."""
        key = keys.staged_image(task_id, chunk_index, ROWS)
        return _checked_rows(key, self._bucket.get(key), staged)

    def read_chunk(self, task_id: str, chunk_index: int, staged: StagedBytes) -> Chunk:
        """Return a chunk's rows and images, one request each."""
        rows = self.read_rows(task_id, chunk_index, staged)
        names = [keys.staged_image(task_id, chunk_index, row.file) for row in rows]
        images = [self._bucket.get(name) for name in names]
        members = []
        for row, name, image in zip(rows, names, images, strict=True):
            if _sha256(image) != row.sha256:
                raise StagedChunkDamagedError(f"{name} is not what was rendered")
            members.append(make_member(row.file, image))
        return Chunk(rows, members)


def make_staging(kind: str, bucket: Bucket) -> Staging:
    """Return the staging that ``QRMILL_STAGING`` names: ``zip`` or ``object``."""
    return ZipStaging(bucket) if kind == "zip" else ObjectStaging(bucket)


def _staged(rows: bytes, data: bytes) -> StagedBytes:
    return StagedBytes(
        sha256=_sha256(data), bytes=len(data), rows_sha256=_sha256(rows), rows_bytes=len(rows)
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _checked_rows(key: str, data: bytes, staged: StagedBytes) -> list[ManifestRow]:
    if _sha256(data) != staged.rows_sha256:
        raise StagedChunkDamagedError(f"{key}: the rows are not what the ledger recorded")
    return _rows_decoder.decode(data)
