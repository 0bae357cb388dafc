"""A job's bundle as a stream of bytes: the manifest first, then every image in order.

The same job gives the same bytes on every worker: each member carries the time at which the job was
accepted, in UTC, and nothing depends on the machine, the clock or the order in which chunks were
staged.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

from pipeline.archive.manifest import (
    CSV_COLUMNS,
    PAGE_COLUMNS,
    ManifestRow,
    extra_columns,
    item_columns,
)
from pipeline.archive.member_names import SYMBOLS_PDF
from pipeline.archive.members import ZipMember, make_member
from pipeline.archive.row_files import DATAMERGE_COLUMNS, CsvFile, JsonFile
from pipeline.archive.symbols_pdf import SymbolsPdf
from pipeline.archive.zip_stream import MemberStream
from pipeline.model.layout import FIRST_LAYOUT, Layout


def stream_archive(
    accepted_at: int,
    rows: Iterable[list[ManifestRow]],
    chunks: Iterable[list[ZipMember]],
    warnings: bytes | None = None,
    layout: Layout = FIRST_LAYOUT,
) -> Iterator[bytes]:
    """Yield the bundle in pieces of any size.

    Args:
        accepted_at: time of the job's acceptance, in seconds since the epoch.
        rows: the manifest rows of each chunk; consumed before any image.
        chunks: the images of each chunk, as ZIP members. With ``pages=single``, each chunk has one
            member, which is its run of pages.
        warnings: the content of ``warnings.json``; None if the request has no warnings.
        layout: layout of the job.
    """
    archive = MemberStream(time.gmtime(accepted_at))
    pdf = SymbolsPdf() if layout.pages == "single" else None
    with ExitStack() as spooled:
        own = item_columns(layout)
        columns = {name: name for name in (PAGE_COLUMNS if pdf else CSV_COLUMNS)} | own
        as_csv = spooled.enter_context(CsvFile(columns))
        as_json = spooled.enter_context(JsonFile(extra_columns(layout)))
        merge = (
            spooled.enter_context(CsvFile({**DATAMERGE_COLUMNS, **own}))
            if layout.datamerge
            else None
        )
        # A local file header has its member's size, so these files are complete before the first
        # byte is yielded.
        _fill([each for each in (as_csv, as_json, merge, pdf) if each], rows)
        yield from archive.copy_spooled("manifest.csv", as_csv)
        yield from archive.copy_spooled("manifest.json", as_json)
        if warnings is not None:
            yield archive.copy(make_member("warnings.json", warnings))
        if merge:
            yield from archive.copy_spooled("datamerge.csv", merge)
    if pdf:
        yield from archive.copy_stored(SYMBOLS_PDF, pdf.crc, pdf.size, pdf.pieces(chunks))
    else:
        for members in chunks:
            yield b"".join(map(archive.copy, members))
    yield from archive.finalize()


def _fill(files: list[CsvFile | JsonFile | SymbolsPdf], rows: Iterable[list[ManifestRow]]) -> None:
    """Give every file the rows of each chunk, in one pass."""
    for chunk in rows:
        for file in files:
            file.add(chunk)
    for file in files:
        file.close()
