"""Paged lists of the jobs of one tenant or of all tenants, and of the chunks of a job.

Each page begins after the last job of the previous page. Jobs that are created meanwhile sort
before the first page, so later pages neither repeat nor skip a job.
"""

from typing import NamedTuple

import msgspec
import redis

from pipeline.ledger import keys
from pipeline.ledger.connection import translated
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.scripts import Scripts
from pipeline.model.chunks import StagedChunk
from pipeline.model.jobs import JobStatus
from pipeline.model.states import ChunkState

#: Largest number of jobs read for one page, so that a filter that few jobs match makes the page
#: short and not slow.
_MOST_READ = 5000
#: Largest number of jobs that one script reads. Redis serves no other client while a script runs,
#: and reading the fields of one job takes about 3 µs.
_READ_AT_ONCE = 250


class Position(NamedTuple):
    """The last job of a page: its time of creation in milliseconds since the epoch, and its id."""

    created_at: int
    task_id: str


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """The jobs to list.

    Attributes:
        tenant: id of the tenant that owns the jobs; None for the jobs of all tenants.
        fields: required values of the job's fields, such as its state.
        since, before: bounds of the time of creation, in milliseconds since the epoch; ``since`` is
            inclusive, ``before`` is exclusive.
    """

    tenant: str | None
    fields: dict[str, str]
    since: int | None = None
    before: int | None = None


class JobPage(NamedTuple):
    """Jobs, newest first, and the position after which the next page begins.

    The position is None on the last page. Pages before the last one may be short or even empty.
    """

    jobs: list[JobStatus]
    next: Position | None


class ChunkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a chunk.

    Attributes:
        index: index of the chunk, counted from 0.
        first_item, last_item: its first and last item, counted from 1 as in the manifest.
        attempts: number of deliveries begun since the job was accepted or last retried.
        error, error_code: error of the last failed attempt; None for a staged chunk.
        took: duration in milliseconds of the attempt that staged the chunk; None until then.
    """

    index: int
    first_item: int
    last_item: int
    state: ChunkState
    attempts: int
    error: str | None = None
    error_code: str | None = None
    took: int | None = None


class _Error(msgspec.Struct):
    code: str
    detail: str


class _Cells(NamedTuple):
    """One chunk's value in each of the job's hashes; None where the hash has none."""

    staged: str | None
    attempts: str | None
    lease: str | None
    failure: str | None
    error: str | None


class Listing:
    """Paged lists from the ledger.

    Every method raises:
        LedgerUnavailableError: Redis is unreachable.
    """

    def __init__(self, client: redis.Redis, ledger: Ledger) -> None:
        """Initialize with a client that decodes responses, and the ledger to read the jobs from."""
        self._client = client
        self._ledger = ledger
        self._run = Scripts(client).run

    def jobs(self, wanted: JobFilter, limit: int, after: Position | None) -> JobPage:
        """Return up to ``limit`` jobs that match ``wanted``, beginning after ``after``."""
        index = keys.ALL_JOBS if wanted.tenant is None else keys.jobs_of(wanted.tenant)
        latest = "+inf" if wanted.before is None else str(wanted.before - 1)
        task_id = ""
        if after is not None and (wanted.before is None or after.created_at < wanted.before):
            latest, task_id = str(after.created_at), after.task_id
        earliest = "-inf" if wanted.since is None else wanted.since
        fields = [part for pair in wanted.fields.items() for part in pair]
        around = keys.job("/").split("/")
        rows: list[str] = []
        for _ in range(0, _MOST_READ, _READ_AT_ONCE):
            room = limit - len(rows)
            arguments = (*around, room, _READ_AT_ONCE, latest, task_id, earliest, *fields)
            latest, task_id, *found = self._run("list_jobs", [index], *arguments)
            rows += found
            if len(rows) == limit or not task_id:
                break
        behind = Position(int(latest), task_id) if task_id else None
        return JobPage(self._ledger.statuses(rows), behind)

    def chunks(self, job: JobStatus, first: int, limit: int) -> list[ChunkStatus]:
        """Return up to ``limit`` chunks of ``job``, beginning at index ``first``."""
        indexes = range(first, min(first + limit, job.chunks))
        if not indexes:
            return []
        families = (keys.staged, keys.attempts, keys.leases, keys.failures, keys.errors)
        with translated(), self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            for family in families:
                pipe.hmget(family(job.task_id), [str(index) for index in indexes])
            (seconds, micros), *columns = pipe.execute()
        now = seconds * 1000 + micros // 1000
        rows = zip(indexes, *columns, strict=True)
        return [_chunk(job, now, index, _Cells(*cells)) for index, *cells in rows]


def _chunk(job: JobStatus, now: int, index: int, cells: _Cells) -> ChunkStatus:
    first = index * job.chunk_size + 1
    staged = cells.staged is not None or job.state == "completed"
    last_error = None if staged else cells.failure or cells.error
    error = msgspec.json.decode(last_error, type=_Error) if last_error else None
    return ChunkStatus(
        index=index,
        first_item=first,
        last_item=min(job.items, first + job.chunk_size - 1),
        state=_chunk_state(cells, now, staged=staged),
        attempts=int(cells.attempts or 0),
        error=error.detail if error else None,
        error_code=error.code if error else None,
        took=_took(cells.staged),
    )


def _took(staged: str | None) -> int | None:
    return msgspec.json.decode(staged, type=StagedChunk).times.total_ms if staged else None


def _chunk_state(cells: _Cells, now: int, *, staged: bool) -> ChunkState:
    if staged:
        return "staged"
    if int(cells.lease or 0) > now:
        return "running"
    return "failed" if cells.failure else "pending"
