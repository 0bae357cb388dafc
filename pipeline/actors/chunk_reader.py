"""Reading a job's staged chunks for its bundle: the rows of all of them, then the images.

The manifest stands before the images, so both cannot come from one reading. The chunks of a small
job are kept from the first to the second, which saves a request a chunk; of a large one only as
many as fit.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import accumulate, islice
from typing import TypeVar

from pipeline.archive.manifest import ManifestRow
from pipeline.archive.members import ZipMember
from pipeline.errors import ObjectMissingError
from pipeline.model.chunks import StagedChunk
from pipeline.storage.staging import StagedChunkDamagedError, Staging

#: Chunks read ahead of the one being written; this bounds the memory they take.
READ_AHEAD = 4
#: Bytes of staged chunks that are kept: those of 5000 items, SVG or PNG of 400 px, are fewer.
_KEPT_BYTES = 8 * 1024 * 1024

Given = TypeVar("Given")
Read = TypeVar("Read")


class DamagedChunkError(Exception):
    """What is staged of a chunk is not what the ledger recorded."""

    def __init__(self, chunk_index: int, reason: str) -> None:
        super().__init__(reason)
        self.chunk_index = chunk_index


class ChunkReader:
    """Reads the chunks of one job, each of its two methods once.

    Args:
        staging: where they are.
        task_id: the job.
        staged: what the ledger recorded of each chunk, in their order.
        pool: its threads read ahead.
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
        self._kept: dict[int, list[ZipMember]] = {}

    def rows(self) -> Iterator[list[ManifestRow]]:
        """Yield the rows of one chunk after another.

        Raises:
            DamagedChunkError: what is staged of a chunk is damaged or gone.
            StoreUnavailableError: try again later.
        """
        return read_ahead(self._pool, self._read_rows, range(len(self._staged)))

    def members(self) -> Iterator[list[ZipMember]]:
        """Yield the images of one chunk after another, when all rows have been read.

        Raises:
            DamagedChunkError, StoreUnavailableError: as :meth:`rows`.
        """
        return read_ahead(self._pool, self._read_members, range(len(self._staged)))

    def _read_rows(self, index: int) -> list[ManifestRow]:
        with _naming(index):
            if index >= self._to_keep:
                return self._staging.read_rows(self._task_id, index, self._staged[index])
            rows, self._kept[index] = self._staging.read_chunk(
                self._task_id, index, self._staged[index]
            )
            return rows

    def _read_members(self, index: int) -> list[ZipMember]:
        if index in self._kept:
            return self._kept.pop(index)
        with _naming(index):
            return self._staging.read_chunk(self._task_id, index, self._staged[index]).members


@contextmanager
def _naming(chunk_index: int) -> Iterator[None]:
    try:
        yield
    except (StagedChunkDamagedError, ObjectMissingError) as error:
        raise DamagedChunkError(chunk_index, str(error)) from error


def read_ahead(
    pool: ThreadPoolExecutor, read: Callable[[Given], Read], given: Iterable[Given]
) -> Iterator[Read]:
    """Yield ``read(each)`` in order while ``pool`` reads at most :data:`READ_AHEAD` ahead."""
    waiting = iter(given)
    reading: deque[Future[Read]] = deque(
        pool.submit(read, each) for each in islice(waiting, READ_AHEAD)
    )
    while reading:
        result = reading.popleft().result()
        reading.extend(pool.submit(read, each) for each in islice(waiting, 1))
        yield result
