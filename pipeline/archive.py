"""A job's bundle as a stream of bytes: manifest first, then every image, in order.

The same job gives the same bytes whoever makes them: every member carries the time the job was
accepted, in UTC, and nothing else depends on the machine, the clock or the order of arrival.
"""

import csv
import io
import time
from collections.abc import Iterable, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED

import msgspec
from zipstream import ZipStream

from pipeline.jobs import ImageRow
from render.image import ImageFormat

#: The manifest's JSON waits for its turn behind the CSV, in memory up to this size, then on disk.
_SPOOL_BYTES = 16 * 1024 * 1024
_COPY_BYTES = 1024 * 1024
#: A local file header's time and date stand behind its first ten bytes (APPNOTE.TXT 6.3.10,
#: section 4.3.7), in four bytes.
_STAMP = slice(10, 14)

CSV_COLUMNS = ImageRow.__struct_fields__


class StampedZipStream(ZipStream):
    """A ``ZipStream`` whose members carry one given time; the library's own stamp is the time at
    which a member is added.
    """  # noqa: D205 - one sentence

    def __init__(self, stamp: time.struct_time, **options: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(**options)
        self._stamp = tuple(stamp[:6])
        year, month, day, hour, minute, second = self._stamp
        date = (year - 1980) << 9 | month << 5 | day
        clock = hour << 11 | minute << 5 | second // 2
        self._stamp_bytes = clock.to_bytes(2, "little") + date.to_bytes(2, "little")

    def _gen_file_entry(self, **entry: Any) -> Iterator[bytes]:  # noqa: ANN401 - passed on
        pieces = super()._gen_file_entry(**entry)
        header = next(pieces)
        yield header[: _STAMP.start] + self._stamp_bytes + header[_STAMP.stop :]
        yield from pieces
        self._filelist[-1].date_time = self._stamp


def stream_archive(
    accepted_at: int,
    image_format: ImageFormat,
    rows: Iterable[list[ImageRow]],
    chunks: Iterable[tuple[list[ImageRow], list[bytes]]],
) -> Iterator[bytes]:
    """Yield the bundle in pieces of any size.

    Args:
        accepted_at: the job's time, in seconds since the epoch.
        image_format: PNG is stored, as it is compressed already; SVG is deflated.
        rows: the rows of one chunk after another; read once, before any image.
        chunks: rows and images of one chunk after another.
    """
    archive = StampedZipStream(time.gmtime(accepted_at))
    with SpooledTemporaryFile(_SPOOL_BYTES) as spool:
        yield from _member(archive, "manifest.csv", _manifest_csv(rows, spool), ZIP_DEFLATED)
        yield from _member(archive, "manifest.json", _manifest_json(spool), ZIP_DEFLATED)
    method = ZIP_DEFLATED if image_format == "svg" else ZIP_STORED
    for chunk_rows, images in chunks:
        for row, image in zip(chunk_rows, images, strict=True):
            yield from _member(archive, row.file, image, method)
    yield from archive.finalize()


def _member(
    archive: ZipStream, name: str, data: bytes | Iterable[bytes], method: int
) -> Iterator[bytes]:
    archive.add(data, name, compress_type=method)
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
