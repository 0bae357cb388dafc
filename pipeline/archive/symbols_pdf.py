"""The file ``symbols.pdf`` of a bundle, streamed from the runs of pages that the chunks have.

A stored member's local file header has its final size and CRC-32. Both follow from the lengths and
checksums of the pages, which the rows have, so the pages themselves are read only once.
"""

import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence

from isal import isal_zlib
from msgspec import UNSET

from pipeline.archive.manifest import ManifestRow
from pipeline.archive.members import ZipMember
from render.writers.pdf_document import document_tail
from render.writers.pdf_objects import HEADER


class SymbolsPdf:
    """The document, of which the rows are given first, and then the runs of pages.

    Attributes:
        size, crc: size in bytes and CRC-32 of the document, once :meth:`close` has been called.
    """

    def __init__(self) -> None:
        # Eight bytes per page; a list of 100,000 integers takes 4 MB.
        self._lengths = array("Q")
        self.size, self.crc = len(HEADER), zlib.crc32(HEADER)

    def add(self, rows: Sequence[ManifestRow]) -> None:
        """Add the pages of rows, whose bytes :meth:`pieces` gets later."""
        for row in rows:
            if row.staged_page is UNSET:
                raise ValueError(f"the row of item {row.index} has no page")
            self._lengths.append(row.staged_page.bytes)
            self.size += row.staged_page.bytes
            self.crc = isal_zlib.crc32_combine(self.crc, row.staged_page.crc, row.staged_page.bytes)

    def close(self) -> None:
        """Add what follows the pages."""
        for piece in document_tail(self._lengths):
            self.size += len(piece)
            self.crc = zlib.crc32(piece, self.crc)

    def pieces(self, chunks: Iterable[list[ZipMember]]) -> Iterator[bytes]:
        """Yield the document.

        Args:
            chunks: the run of pages of each chunk, as its only member.
        """
        yield HEADER
        for members in chunks:
            yield from (member.data for member in members)
        yield from document_tail(self._lengths)
