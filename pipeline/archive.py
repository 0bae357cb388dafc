"""A job's bundle as a stream of bytes: manifest first, then every image, in order.

The same job gives the same bytes whoever makes them: every member carries the time the job was
accepted, in UTC, and nothing else depends on the machine, the clock or the order of arrival.
"""

import csv
import io
import time
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO
from zipfile import ZIP_DEFLATED

import msgspec

from pipeline.members import Member
from pipeline.model.chunks import ImageRow
from pipeline.zip_stream import MemberStream

#: The manifest's JSON waits for its turn behind the CSV, in memory up to this size, then on disk.
_SPOOL_BYTES = 2 * 1024 * 1024
_COPY_BYTES = 1024 * 1024
#: zlib's level for the manifests: half the time of its default for a tenth more bytes.
_LEVEL = 1

CSV_COLUMNS = ImageRow.__struct_fields__


def stream_archive(
    accepted_at: int, rows: Iterable[list[ImageRow]], chunks: Iterable[list[Member]]
) -> Iterator[bytes]:
    """Yield the bundle in pieces of any size.

    Args:
        accepted_at: the job's time, in seconds since the epoch.
        rows: the rows of one chunk after another; read once, before any image.
        chunks: the images of one chunk after another.
    """
    with (
        MemberStream(time.gmtime(accepted_at)) as archive,
        SpooledTemporaryFile(_SPOOL_BYTES) as spool,
    ):
        yield from _manifest(archive, "manifest.csv", _manifest_csv(rows, spool))
        yield from _manifest(archive, "manifest.json", _manifest_json(spool))
        for members in chunks:
            yield b"".join(map(archive.copy, members))
        yield from archive.finalize()


def _manifest(archive: MemberStream, name: str, data: Iterable[bytes]) -> Iterator[bytes]:
    archive.add(data, name, compress_type=ZIP_DEFLATED, compress_level=_LEVEL)
    yield from archive.file()


def _manifest_csv(rows: Iterable[list[ImageRow]], spool: IO[bytes]) -> Iterator[bytes]:
    """Yield the manifest as CSV (RFC 4180), and leave it as JSON lines in ``spool``."""
    yield _csv_lines([CSV_COLUMNS])
    for chunk in rows:
        spool.writelines(msgspec.json.encode(row) + b"\n" for row in chunk)
        yield _csv_lines(msgspec.structs.astuple(row) for row in chunk)


def _csv_lines(records: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(records)
    return text.getvalue().encode()


def _manifest_json(spool: IO[bytes]) -> Iterator[bytes]:
    """Yield the rows in ``spool`` as one JSON array, a row a line."""
    spool.seek(0)
    before = b"[\n"
    while lines := spool.readlines(_COPY_BYTES):
        yield before + b",\n".join(line.rstrip(b"\n") for line in lines)
        before = b",\n"
    yield b"\n]\n"
