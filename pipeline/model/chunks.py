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


class StagedBytes(msgspec.Struct, frozen=True):
    """Digests and sizes of the objects that were staged for a chunk.

    Attributes:
        sha256: SHA-256 of everything that was staged, hexadecimal.
        bytes: size of everything that was staged.
        rows_sha256, rows_bytes: SHA-256 and size of the chunk's manifest rows as staged. The rows
            contain the digests of the images.
    """

    sha256: str
    bytes: int
    rows_sha256: str
    rows_bytes: int


class StagedChunk(StagedBytes, frozen=True):
    """A staged chunk as the ledger records it.

    Attributes:
        times: timings of the attempt that staged the chunk.
    """

    times: ChunkTimes
