"""A job's bundle as a stream of bytes: the manifest first, then every image in order.

The same job gives the same bytes on every worker: each member carries the time at which the job was
accepted, in UTC, and nothing depends on the machine, the clock or the order in which chunks were
staged.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import cast

from pipeline.archive.manifest import ManifestRow, extra_columns
from pipeline.archive.member_block import MemberBlock
from pipeline.archive.member_names import SYMBOLS_PDF
from pipeline.archive.members import ZipMember, make_member
from pipeline.archive.packed_chunk import RowLines
from pipeline.archive.row_files import CsvFile, JsonFile, manifest_columns, merge_columns
from pipeline.archive.symbols_pdf import SymbolsPdf
from pipeline.archive.zip_stream import MemberStream
from pipeline.model.layout import FIRST_LAYOUT, Layout


def stream_archive(
    accepted_at: int,
    rows: Iterable[list[ManifestRow] | RowLines],
    chunks: Iterable[list[ZipMember] | MemberBlock],
    warnings: bytes | None = None,
    layout: Layout = FIRST_LAYOUT,
) -> Iterator[bytes | memoryview]:
    """Yield the bundle in pieces of any size.

    Args:
        accepted_at: time of the job's acceptance, in seconds since the epoch.
        rows: the manifest rows of each chunk; consumed before any image.
        chunks: the images of each chunk, as ZIP members or as a block of members. With
            ``pages=single``, each chunk has one member, which is its run of pages.
        warnings: the content of ``warnings.json``; None if the request has no warnings.
        layout: layout of the job.
    """
    archive = MemberStream(time.gmtime(accepted_at))
    pdf = SymbolsPdf() if layout.pages == "single" else None
    with ExitStack() as spooled:
        as_csv = spooled.enter_context(CsvFile(manifest_columns(layout)))
        as_json = spooled.enter_context(JsonFile(extra_columns(layout)))
        merge = spooled.enter_context(CsvFile(merge_columns(layout))) if layout.datamerge else None
        # A local file header has its member's size, so these files are complete before the first
        # byte is yielded.
        _fill(as_csv, as_json, merge, pdf, rows)
        yield from archive.copy_spooled("manifest.csv", as_csv)
        yield from archive.copy_spooled("manifest.json", as_json)
        if warnings is not None:
            yield archive.copy(make_member("warnings.json", warnings))
        if merge:
            yield from archive.copy_spooled("datamerge.csv", merge)
    if pdf:
        runs = cast("Iterable[list[ZipMember]]", chunks)  # runs of pages are not packed
        yield from archive.copy_stored(SYMBOLS_PDF, pdf.crc, pdf.size, pdf.pieces(runs))
    else:
        for members in chunks:
            if isinstance(members, MemberBlock):
                yield archive.copy_block(members)
            else:
                yield b"".join(map(archive.copy, members))
    yield from archive.finalize()


def _fill(
    as_csv: CsvFile,
    as_json: JsonFile,
    merge: CsvFile | None,
    pdf: SymbolsPdf | None,
    rows: Iterable[list[ManifestRow] | RowLines],
) -> None:
    """Give every file the rows of each chunk, in one pass."""
    files = [each for each in (as_csv, as_json, merge, pdf) if each]
    for chunk in rows:
        if isinstance(chunk, RowLines) and _fits(chunk, as_csv, merge):
            as_csv.add_lines(chunk.csv)
            as_json.add_lines(chunk.json)
            if merge:
                merge.add_lines(chunk.merge)
        else:
            found = chunk.rows() if isinstance(chunk, RowLines) else chunk
            for file in files:
                file.add(found)
    for file in files:
        file.close()


def _fits(lines: RowLines, as_csv: CsvFile, merge: CsvFile | None) -> bool:
    """Return whether lines have the columns of this release's files."""
    fits = merge is None or merge.has_columns_of(lines.merge)
    return fits and as_csv.has_columns_of(lines.csv)
