"""The manifest of a bundle: as CSV (RFC 4180) and as JSON, a row an image."""

import csv
import io
from collections.abc import Iterable, Iterator
from typing import IO

import msgspec

from pipeline.model.chunks import ImageRow

_COPY_BYTES = 1024 * 1024


CSV_COLUMNS = ImageRow.__struct_fields__


def manifest_csv(rows: Iterable[list[ImageRow]], spool: IO[bytes]) -> Iterator[bytes]:
    """Yield the manifest as CSV (RFC 4180), and leave it as JSON lines in ``spool``."""
    yield _csv_lines([CSV_COLUMNS])
    for chunk in rows:
        spool.writelines(msgspec.json.encode(row) + b"\n" for row in chunk)
        yield _csv_lines(msgspec.structs.astuple(row) for row in chunk)


def _csv_lines(records: Iterable[Iterable[object]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(records)
    return text.getvalue().encode()


def manifest_json(spool: IO[bytes]) -> Iterator[bytes]:
    """Yield the rows in ``spool`` as one JSON array, a row a line."""
    spool.seek(0)
    before = b"[\n"
    while lines := spool.readlines(_COPY_BYTES):
        yield before + b",\n".join(line.rstrip(b"\n") for line in lines)
        before = b",\n"
    yield b"\n]\n"
