"""What a bundle needs of a chunk, computed by the worker that renders the chunk.

The process that writes the bundle only copies the members, and appends the lines of the rows to the
manifests. It compresses the manifests itself, so that the bytes of a bundle do not depend on how
its items are divided into chunks.
"""

import time
from collections.abc import Sequence
from typing import NamedTuple

from pipeline.archive.chunk_files import make_members
from pipeline.archive.manifest import ManifestRow, decode_rows, extra_columns
from pipeline.archive.member_block import MemberBlock, pack_members
from pipeline.archive.row_files import CsvRecords, JsonRecords, manifest_columns, merge_columns
from pipeline.model.layout import Layout
from pipeline.model.records import JobFields


class RowLines(NamedTuple):
    """A chunk's rows as they are in the files of the bundle.

    Attributes:
        csv: the lines of ``manifest.csv``, with the header.
        json: the elements of ``manifest.json``, one per line.
        merge: the lines of ``datamerge.csv``, with the header; empty if the job has none.
        verified: whether all rows are verified.
        encoded: the rows as they are staged, for a process of another release, whose files may have
            other columns; empty until the chunk is staged.
    """

    csv: bytes | memoryview
    json: bytes | memoryview
    merge: bytes | memoryview
    verified: bool
    encoded: bytes | memoryview = b""

    def rows(self) -> list[ManifestRow]:
        """Return the rows."""
        return decode_rows(self.encoded)


class PackedChunk(NamedTuple):
    """A chunk as its bundle has it."""

    lines: RowLines
    block: MemberBlock


def pack_chunk(
    job: JobFields, rows: Sequence[ManifestRow], files: Sequence[bytes]
) -> PackedChunk | None:
    """Return a chunk as its bundle has it; None with ``pages=single``, whose chunks are pages."""
    if job.layout.pages == "single":
        return None
    year, month, day, hour, minute, second = time.gmtime(job.accepted_at)[:6]
    stamp = (year, month, day, hour, minute, second)
    return PackedChunk(row_lines(job.layout, rows), pack_members(make_members(rows, files), stamp))


def row_lines(layout: Layout, rows: Sequence[ManifestRow]) -> RowLines:
    """Return the rows of a chunk as they are in the files of a bundle."""
    as_csv, merge = CsvRecords(manifest_columns(layout)), b""
    if layout.datamerge:
        merged = CsvRecords(merge_columns(layout))
        merge = merged.header + merged.lines(rows)
    return RowLines(
        as_csv.header + as_csv.lines(rows),
        JsonRecords(extra_columns(layout)).lines(rows),
        merge,
        all(row.verified for row in rows),
    )
