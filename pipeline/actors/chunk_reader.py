"""Reader of a job's staged chunks for its bundle: all manifest rows first, then all images.

The manifest precedes the images in the ZIP, so the chunks are read in two passes. The chunks of a
small job stay in memory between the passes, which saves one request per chunk. Of a large job, only
the first chunks stay in memory, up to a limit.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate, islice
from typing import TypeVar

from pipeline.archive.manifest import ManifestRow
from pipeline.archive.member_block import MemberBlock
from pipeline.archive.members import ZipMember
from pipeline.archive.packed_chunk import RowLines
from pipeline.errors import ObjectMissingError
from pipeline.model.chunks import StagedChunk
from pipeline.storage.staging import StagedChunkDamagedError, Staging

#: Maximum number of chunks read ahead of the chunk being written; the limit bounds memory use.
READ_AHEAD = 4
#: Maximum bytes of staged chunks that stay in memory. A job of 5000 items needs less, as SVG or as
#: PNG of 400 px.
_KEPT_BYTES = 10 * 1024 * 1024

Given = TypeVar("Given")
Read = TypeVar("Read")


class DamagedChunkError(Exception):
    """Raised when the staged objects of a chunk are missing or differ from the ledger's record."""

    def __init__(self, chunk_index: int, reason: str) -> None:
        super().__init__(reason)
        self.chunk_index = chunk_index


class ChunkReader:
    """Reads the chunks of one job; each of its two methods may be called once.

    Args:
        staging: store of the staged chunks.
        task_id: the job.
        staged: the ledger's records of the chunks, in chunk order.
        pool: threads that read ahead.
    """

    def __init__(
        self,
        staging: Staging,
        task_id: str,
        staged: list[StagedChunk],
        pool: ThreadPoolExecutor,
    ) -> None:
        self._staging = staging
        self._task_id = task_id
        self._staged = staged
        self._pool = pool
        sizes = accumulate(chunk.bytes for chunk in staged)
        self._to_keep = sum(size <= _KEPT_BYTES for size in sizes)
        self._kept: dict[int, list[ZipMember] | MemberBlock] = {}

    def rows(self) -> Iterator[list[ManifestRow] | RowLines]:
        """Yield the manifest rows of each chunk.

        Raises:
            DamagedChunkError: the staged objects of a chunk are damaged or missing.
            StoreUnavailableError: S3 is unavailable; retry later.
        """
        return read_ahead(self._pool, self._read_rows, range(len(self._staged)))

    def members(self) -> Iterator[list[ZipMember] | MemberBlock]:
        """Yield the images of each chunk; call this after all rows have been read.

        Raises:
            DamagedChunkError: the staged objects of a chunk are damaged or missing.
            StoreUnavailableError: S3 is unavailable; retry later.
        """
        return read_ahead(self._pool, self._read_members, range(len(self._staged)))

    def _read_rows(self, index: int) -> list[ManifestRow] | RowLines:
        with _damage_of(index):
            if index >= self._to_keep:
                return self._staging.read_rows(self._task_id, index, self._staged[index])
            rows, self._kept[index] = self._staging.read_chunk(
                self._task_id, index, self._staged[index]
            )
            return rows

    def _read_members(self, index: int) -> list[ZipMember] | MemberBlock:
        if index in self._kept:
            return self._kept.pop(index)
        with _damage_of(index):
            return self._staging.read_chunk(self._task_id, index, self._staged[index]).members


@contextmanager
def _damage_of(chunk_index: int) -> Iterator[None]:
    try:
        yield
    except (StagedChunkDamagedError, ObjectMissingError) as error:
        raise DamagedChunkError(chunk_index, str(error)) from error


def read_ahead(
    pool: ThreadPoolExecutor, read: Callable[[Given], Read], given: Iterable[Given]
) -> Iterator[Read]:
    """Yield the result of ``read`` for each element of ``given``, in order.

    The threads of ``pool`` read up to :data:`READ_AHEAD` results ahead.
    """
    waiting = iter(given)
    reading: deque[Future[Read]] = deque(
        pool.submit(read, each) for each in islice(waiting, READ_AHEAD)
    )
    while reading:
        result = reading.popleft().result()
        reading.extend(pool.submit(read, each) for each in islice(waiting, 1))
        yield result
