"""Lists: the jobs of a key or of all keys, and the chunks of a job, a page at a time.

A page ends at a job and the next one begins behind that job, whatever arrives meanwhile: new jobs
stand before the first page, so none is repeated and none is hidden.
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

#: Jobs looked at for one page: a filter that few of them pass gives a short page, not a slow one.
_LOOKED_AT = 5000


class Position(NamedTuple):
    """The last job of a page: when it was created, in milliseconds since the epoch, and its id."""

    created_at: int
    task_id: str


class JobFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which jobs are listed.

    Attributes:
        key_id: of one API key; None for those of all.
        fields: values that fields of the job have to have, such as its state.
        since, before: when they were created, in milliseconds since the epoch: not before
            ``since``, and before ``before``.
    """

    key_id: str | None
    fields: dict[str, str]
    since: int | None = None
    before: int | None = None


class JobPage(NamedTuple):
    """Jobs, the newest first, and where the next page begins; None behind the last one.

    A page may be short, even empty, before the last one.
    """

    jobs: list[JobStatus]
    next: Position | None


class ChunkStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger knows of a chunk.

    Attributes:
        index: of the chunk, counted from 0.
        first_item, last_item: counted from 1, as in the manifest.
        attempts: deliveries that were begun since the job was accepted or re-run.
        error, error_code: of the last attempt that failed; None of a staged chunk.
        took: milliseconds that the attempt which staged it took; None until then.
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
    """What each of a job's hashes says of one chunk."""

    staged: str | None
    attempts: str | None
    lease: str | None
    failure: str | None
    error: str | None


class Listing:
    """Reads lists from the ledger. Every method raises ``LedgerUnavailableError``."""

    def __init__(self, client: redis.Redis, ledger: Ledger) -> None:
        """Take a client that decodes responses, and the ledger that tells of one job."""
        self._client = client
        self._ledger = ledger
        self._run = Scripts(client).run

    def jobs(self, wanted: JobFilter, limit: int, after: Position | None) -> JobPage:
        """Return up to ``limit`` jobs, from behind ``after`` on."""
        index = keys.ALL_JOBS if wanted.key_id is None else keys.jobs_of(wanted.key_id)
        latest = "+inf" if wanted.before is None else str(wanted.before - 1)
        task_id = ""
        if after is not None and (wanted.before is None or after.created_at < wanted.before):
            latest, task_id = str(after.created_at), after.task_id
        earliest = "-inf" if wanted.since is None else wanted.since
        fields = [part for pair in wanted.fields.items() for part in pair]
        around = keys.job("/").split("/")
        arguments = (*around, limit, _LOOKED_AT, latest, task_id, earliest, *fields)
        created_at, last, *found = self._run("list_jobs", [index], *arguments)
        behind = Position(int(created_at), last) if last else None
        return JobPage(self._ledger.statuses(found), behind)

    def chunks(self, job: JobStatus, first: int, limit: int) -> list[ChunkStatus]:
        """Return up to ``limit`` chunks of ``job``, from index ``first`` on."""
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
    told = msgspec.json.decode(last_error, type=_Error) if last_error else None
    return ChunkStatus(
        index=index,
        first_item=first,
        last_item=min(job.items, first + job.chunk_size - 1),
        state=_chunk_state(cells, now, staged=staged),
        attempts=int(cells.attempts or 0),
        error=told.detail if told else None,
        error_code=told.code if told else None,
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
