"""What the ledger records of a staged chunk: its digests, and where its time went."""

import msgspec


class ChunkTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of the attempt that staged a chunk went, by its worker's clock.

    Attributes:
        begun_at: in milliseconds since the epoch.
        read_ms: from then until its items were there, in milliseconds.
        render_ms: until its images were.
        stage_ms: until they were in S3.
    """

    begun_at: int
    read_ms: float
    render_ms: float
    stage_ms: float

    @property
    def total_ms(self) -> int:
        """All of it, in whole milliseconds."""
        return round(self.read_ms + self.render_ms + self.stage_ms)


class StagedBytes(msgspec.Struct, frozen=True):
    """What was written to staging for a chunk.

    Attributes:
        sha256: of all that was staged, hexadecimal.
        bytes: size of all that was staged.
        rows_sha256, rows_bytes: of the chunk's rows as they are staged; these hold the digests of
            the images.
    """

    sha256: str
    bytes: int
    rows_sha256: str
    rows_bytes: int


class StagedChunk(StagedBytes, frozen=True):
    """What the ledger records of a staged chunk.

    Attributes:
        times: of the attempt that staged it.
    """

    times: ChunkTimes
