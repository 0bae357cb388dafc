"""Staged chunks as the ledger records them: digests, sizes and timings."""

import msgspec


class ChunkTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Timings of the attempt that staged a chunk, by the worker's clock.

    Attributes:
        begun_at: start of the attempt, in milliseconds since the epoch.
        read_ms: milliseconds spent on reading the chunk's items.
        render_ms: milliseconds spent on rendering the chunk's images.
        verify_ms: milliseconds spent on reading the symbols back.
        stage_ms: milliseconds spent on writing the images and manifest rows to S3.
    """

    begun_at: int
    read_ms: float
    render_ms: float
    verify_ms: float = 0.0
    stage_ms: float

    @property
    def total_ms(self) -> int:
        """Duration of the attempt, in whole milliseconds."""
        return round(self.read_ms + self.render_ms + self.verify_ms + self.stage_ms)


class StagedText(msgspec.Struct, frozen=True, kw_only=True):
    """What was staged for a chunk beside its rows and its files, so that bundling only copies.

    The sizes are in bytes, and the parts follow the rows in this order.

    Attributes:
        csv, merge: sizes of the chunk's lines of ``manifest.csv`` and ``datamerge.csv``.
        json: size of the elements of ``manifest.json``; 0 if they are the lines of the rows.
        lengths: size of the lengths of the files' records in the central directory.
        block: size of the files' local headers and data.
        sha256: SHA-256 of the parts except ``block``, hexadecimal.
        verified: whether all rows are verified.
    """

    csv: int
    merge: int
    json: int
    lengths: int
    block: int
    sha256: str
    verified: bool

    @property
    def bytes(self) -> int:
        """Size of the parts except ``block``."""
        return self.csv + self.merge + self.json + self.lengths


class StagedBytes(msgspec.Struct, frozen=True, omit_defaults=True):
    """Digests and sizes of the objects that were staged for a chunk.

    Attributes:
        sha256: SHA-256 of everything that was staged, hexadecimal.
        bytes: size of everything that was staged.
        rows_sha256, rows_bytes: SHA-256 and size of the chunk's manifest rows as staged. The rows
            contain the digests of the images.
        text: what was staged beside the rows and the files; None in a chunk of a release that
            stages nothing else, and in one whose files are pages or single objects.
    """

    sha256: str
    bytes: int
    rows_sha256: str
    rows_bytes: int
    text: StagedText | None = None


class StagedChunk(StagedBytes, frozen=True, omit_defaults=True, kw_only=True):
    """A staged chunk as the ledger records it.

    Attributes:
        times: timings of the attempt that staged the chunk.
    """

    times: ChunkTimes
