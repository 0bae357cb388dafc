"""Staging: rendered chunks in S3 until they are bundled.

Two ways of laying a chunk out, one protocol. :class:`ZipStaging` writes one uncompressed ZIP a
chunk: rows first, then the images; a request to S3 costs more CPU than rendering a whole chunk, so
this is the default. :class:`ObjectStaging` writes one object an image, for those who read single
images from the staging bucket. Writing a chunk twice writes the same bytes at the same keys.
"""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from pipeline import keys
from pipeline.jobs import ImageRow, StagedChunk
from pipeline.store import Bucket

ROWS = "rows.json"
#: Where the rows' bytes begin in a staged ZIP: behind the local file header, whose fixed part has
#: 30 bytes (APPNOTE.TXT 6.3.10, section 4.3.7), and the member's name; there is no extra field.
_ROWS_OFFSET = 30 + len(ROWS)
#: The earliest time a ZIP can carry, so that staged bytes do not depend on the clock.
_EPOCH = (1980, 1, 1, 0, 0, 0)

#: A chunk's rows and its images, in the same order.
Chunk = tuple[list[ImageRow], list[bytes]]

_rows_decoder = msgspec.json.Decoder(list[ImageRow])


class StagedChunkDamagedError(Exception):
    """What is staged is not what the ledger recorded."""


class Staging(Protocol):
    """Where rendered chunks wait. Every method may raise ``StoreUnavailableError``."""

    def stage(
        self, task_id: str, chunk_index: int, rows: Sequence[ImageRow], images: Sequence[bytes]
    ) -> StagedChunk:
        """Write a chunk: ``rows`` and ``images`` in the same order."""

    def read_rows(self, task_id: str, chunk_index: int, staged: StagedChunk) -> list[ImageRow]:
        """Return a chunk's rows.

        Raises:
            StagedChunkDamagedError: they are not what was staged.
            ObjectMissingError: they are gone.
        """

    def read_chunk(self, task_id: str, chunk_index: int, staged: StagedChunk) -> Chunk:
        """Return a chunk's rows and images, in the same order.

        Raises:
            StagedChunkDamagedError: the rows, or an image, are not what was staged.
            ObjectMissingError: something of it is gone.
        """

    def drop(self, task_id: str) -> None:
        """Remove all that is staged of a job."""


class ZipStaging:
    """One ZIP a chunk, readable with any ZIP tool."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def stage(
        self, task_id: str, chunk_index: int, rows: Sequence[ImageRow], images: Sequence[bytes]
    ) -> StagedChunk:
        """Write a chunk as one object."""
        encoded = msgspec.json.encode(rows)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(ROWS, _EPOCH), encoded)
            for row, image in zip(rows, images, strict=True):
                archive.writestr(zipfile.ZipInfo(row.file, _EPOCH), image)
        data = buffer.getvalue()
        self._bucket.put(keys.staged_zip(task_id, chunk_index), data, "application/zip")
        return StagedChunk(_sha256(encoded), len(encoded), len(data))

    def read_rows(self, task_id: str, chunk_index: int, staged: StagedChunk) -> list[ImageRow]:
        """Return a chunk's rows, read as the range of the object that holds them."""
        key = keys.staged_zip(task_id, chunk_index)
        data = self._bucket.get(key, _ROWS_OFFSET, staged.rows_bytes)
        return _checked_rows(key, data, staged)

    def read_chunk(self, task_id: str, chunk_index: int, staged: StagedChunk) -> Chunk:
        """Return a chunk's rows and images from its one object."""
        key = keys.staged_zip(task_id, chunk_index)
        data = self._bucket.get(key)
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                rows = _checked_rows(key, archive.read(ROWS), staged)
                images = [archive.read(row.file) for row in rows]
        except (zipfile.BadZipFile, KeyError) as error:
            raise StagedChunkDamagedError(key) from error
        return rows, _checked_images(key, rows, images)

    def drop(self, task_id: str) -> None:
        """Remove all that is staged of a job."""
        self._bucket.delete_all(keys.staging_of(task_id))


class ObjectStaging:
    """One object an image, and one for the chunk's rows."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def stage(
        self, task_id: str, chunk_index: int, rows: Sequence[ImageRow], images: Sequence[bytes]
    ) -> StagedChunk:
        """Write a chunk's images, then its rows."""
        for row, image in zip(rows, images, strict=True):
            kind = "image/svg+xml" if row.file.endswith(".svg") else "image/png"
            self._bucket.put(keys.staged_image(task_id, chunk_index, row.file), image, kind)
        encoded = msgspec.json.encode(rows)
        key = keys.staged_image(task_id, chunk_index, ROWS)
        self._bucket.put(key, encoded, "application/json")
        total = len(encoded) + sum(map(len, images))
        return StagedChunk(_sha256(encoded), len(encoded), total)

    def read_rows(self, task_id: str, chunk_index: int, staged: StagedChunk) -> list[ImageRow]:
        """Return a chunk's rows from their object."""
        key = keys.staged_image(task_id, chunk_index, ROWS)
        return _checked_rows(key, self._bucket.get(key), staged)

    def read_chunk(self, task_id: str, chunk_index: int, staged: StagedChunk) -> Chunk:
        """Return a chunk's rows and images, one request each."""
        rows = self.read_rows(task_id, chunk_index, staged)
        names = [keys.staged_image(task_id, chunk_index, row.file) for row in rows]
        images = [self._bucket.get(name) for name in names]
        return rows, _checked_images(keys.staged_image(task_id, chunk_index, ""), rows, images)

    def drop(self, task_id: str) -> None:
        """Remove all that is staged of a job."""
        self._bucket.delete_all(keys.staging_of(task_id))


def make_staging(kind: str, bucket: Bucket) -> Staging:
    """Return the staging that ``QRMILL_STAGING`` names: ``zip`` or ``object``."""
    return ZipStaging(bucket) if kind == "zip" else ObjectStaging(bucket)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _checked_rows(key: str, data: bytes, staged: StagedChunk) -> list[ImageRow]:
    if _sha256(data) != staged.sha256:
        raise StagedChunkDamagedError(f"{key}: the rows are not what the ledger recorded")
    return _rows_decoder.decode(data)


def _checked_images(key: str, rows: Iterable[ImageRow], images: list[bytes]) -> list[bytes]:
    for row, image in zip(rows, images, strict=True):
        if _sha256(image) != row.sha256:
            raise StagedChunkDamagedError(f"{key}: {row.file} is not what was rendered")
    return images
