"""A staged chunk as one ZIP, written and taken apart.

The rows come first, so that they can be read without the images. In a packed chunk, text that
belongs to no member follows: the lines of the manifests, and the lengths of the records in the
central directory. The images are last in both.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from pipeline.archive.manifest import ManifestRow
from pipeline.archive.member_block import CENTRAL_BYTES, MemberBlock
from pipeline.archive.members import HEADER_BYTES, ZipMember, store_member
from pipeline.archive.packed_chunk import PackedChunk, RowLines
from pipeline.archive.row_files import encode_lines
from pipeline.archive.zip_stream import MemberStream
from pipeline.model.chunks import StagedText

ROWS = "rows.json"
#: Offset of the rows in a staged ZIP, in bytes: after the local file header and the member's name.
ROWS_OFFSET = HEADER_BYTES + len(ROWS)
#: The earliest time a ZIP can carry, so that staged bytes do not depend on the clock.
_EPOCH = (1980, 1, 1, 0, 0, 0)
#: Permissions of the members of a chunk that is not packed. They are those of release 0.2.0, so
#: that two releases stage such a chunk as the same bytes.
_STAGED_MODE = 0o600
#: What comes before and after the rows in their JSON array, which has one per line.
_BEFORE, _AFTER = b"[\n", b"\n]\n"


def encode_rows(rows: Sequence[ManifestRow]) -> bytes:
    """Return rows as a JSON array, one per line as in ``manifest.json``."""
    return b"".join((_BEFORE, encode_lines(rows), _AFTER))


def plain_zip(rows: bytes, members: Sequence[ZipMember]) -> bytes:
    """Return a chunk as a ZIP of its rows and its files."""
    archive = MemberStream(_EPOCH, _STAGED_MODE)
    pieces = [archive.copy(store_member(ROWS, rows)), *map(archive.copy, members)]
    return b"".join((*pieces, *archive.finalize()))


def packed_zip(rows: bytes, packed: PackedChunk) -> tuple[StagedText, bytes]:
    """Return a packed chunk as a ZIP, and the record of its text."""
    lines, block = packed
    json = b"" if _same_lines(rows, lines.json) else lines.json
    text = b"".join((lines.csv, lines.merge, json, block.lengths))
    archive = MemberStream(_EPOCH)
    start = (archive.copy(store_member(ROWS, rows)), archive.skip(text))
    files = archive.copy_block(block)
    record = StagedText(
        csv=len(lines.csv),
        merge=len(lines.merge),
        json=len(json),
        lengths=len(block.lengths),
        block=len(block.data),
        sha256=hashlib.sha256(text).hexdigest(),
        verified=lines.verified,
    )
    return record, b"".join((*start, files, *archive.finalize()))


def staged_lines(text: memoryview, rows_bytes: int, record: StagedText) -> RowLines:
    """Return the lines of a packed chunk.

    Args:
        text: the staged chunk from its rows on.
        rows_bytes: size of the rows.
        record: record of the text.
    """
    rows, rest = text[:rows_bytes], text[rows_bytes:]
    csv, rest = rest[: record.csv], rest[record.csv :]
    merge, rest = rest[: record.merge], rest[record.merge :]
    json = rest[: record.json] if record.json else rows[len(_BEFORE) : -len(_AFTER)]
    return RowLines(csv, json, merge, record.verified, rows)


def staged_block(data: memoryview, rows_bytes: int, record: StagedText) -> MemberBlock:
    """Return the files of a packed chunk.

    Args:
        data: the staged chunk.
        rows_bytes: size of the rows.
        record: record of the text.
    """
    base = ROWS_OFFSET + rows_bytes + record.bytes
    lengths = data[base - record.lengths : base]
    directory = base + record.block + CENTRAL_BYTES + len(ROWS)
    size = int(np.frombuffer(lengths, "<u2").sum())
    return MemberBlock(
        data[base : base + record.block], data[directory : directory + size], lengths, base
    )


def _same_lines(rows: bytes, lines: bytes | memoryview) -> bool:
    return rows[len(_BEFORE) : -len(_AFTER)] == lines
