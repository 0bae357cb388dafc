"""The ledger: what the service knows of jobs, in Redis, every step one atomic script.

Each step can be repeated, by the same process or another, and do no harm: a chunk is staged once
however often it is reported, a job ends once, and one bundler at a time holds the claim. All times
inside the scripts are the Redis server's own, so that a worker's wrong clock moves nothing.
"""

from importlib import resources
from typing import Any, cast

import msgspec
import redis

from pipeline import keys
from pipeline.jobs import (
    TRANSITIONS,
    Bundle,
    JobFields,
    JobStatus,
    RequestHead,
    StagedChunk,
    State,
)

_PRELUDE = """
local TRANSITIONS = {%s}
local function transition(state, event)
    return TRANSITIONS[state .. " " .. event] or state
end
local function now()
    local time = redis.call("TIME")
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
"""


class LedgerUnavailableError(Exception):
    """Redis did not answer; what was asked may or may not have happened, and can be asked again."""


class ChunkWork(msgspec.Struct, frozen=True):
    """A chunk to be rendered.

    Attributes:
        attempt: how often it has been begun, this time included.
        offset, length: where its items stand in the request object, in bytes.
    """

    job: JobFields
    chunk_index: int
    attempt: int
    offset: int
    length: int

    @property
    def first_item(self) -> int:
        """Index of the chunk's first item in the job, counted from 0."""
        return self.chunk_index * self.job.chunk_size

    @property
    def item_count(self) -> int:
        """Items in the chunk; the job's last chunk may have fewer."""
        return min(self.job.chunk_size, self.job.items - self.first_item)


class Ledger:
    """The ledger's steps.

    Every method raises:
        LedgerUnavailableError: Redis is out of reach.
    """

    def __init__(self, client: redis.Redis) -> None:
        """Take a Redis client that decodes responses; nothing is sent yet."""
        self._client = client
        self._scripts = {name: client.register_script(_source(name)) for name in _SCRIPT_NAMES}

    def create_job(self, head: RequestHead, created_at: int, head_bytes: int) -> bool:
        """Enter an accepted job; False if it is there already.

        Args:
            head: of the request object.
            created_at: in milliseconds since the epoch.
            head_bytes: size of the head as it stands in the object, where the items' ranges begin.
        """
        fields = {name: getattr(head, name) for name in JobFields.__struct_fields__}
        fields["chunks"] = head.chunks
        ranges = [f"{head_bytes + offset} {length}" for offset, length in head.ranges]
        flat = [part for pair in fields.items() for part in pair]
        arguments = [head.task_id, created_at, len(fields), *flat, *ranges]
        names = [keys.job(head.task_id), keys.ranges(head.task_id)]
        indexes = [keys.ACTIVE_JOBS, keys.jobs_of(head.key_id)]
        return bool(self._run("create_job", [*names, *indexes], arguments))

    def discard_job(self, task_id: str, key_id: str) -> None:
        """Forget a job that could not be enqueued."""
        indexes = [keys.ACTIVE_JOBS, keys.jobs_of(key_id)]
        self._run("discard_job", [*indexes, *_all_keys(task_id)], [task_id])

    def status(self, task_id: str) -> JobStatus | None:
        """Return what is known of a job, or None."""
        try:
            with self._client.pipeline(transaction=False) as pipe:
                pipe.hgetall(keys.job(task_id))
                pipe.hlen(keys.staged(task_id))
                pipe.hlen(keys.failures(task_id))
                fields, staged, failed = pipe.execute()
        except redis.RedisError as error:
            raise LedgerUnavailableError(str(error)) from error
        if not fields:
            return None
        bundle = fields.pop("bundle", None)
        decoded = msgspec.json.decode(bundle, type=Bundle) if bundle else None
        values = {**fields, "staged": staged, "failed": failed, "bundle": decoded}
        return msgspec.convert(values, JobStatus, strict=False)

    def begin_chunk(self, task_id: str, chunk_index: int) -> ChunkWork | None:
        """Count a delivery of a chunk and return the work, or None when there is nothing to do."""
        names = [keys.job(task_id), keys.ranges(task_id), keys.staged(task_id)]
        reply = self._run("begin_chunk", [*names, keys.attempts(task_id)], [chunk_index])
        if not reply:
            return None
        attempt, byte_range, fields = reply
        offset, length = map(int, byte_range.split())
        return ChunkWork(_job_fields(fields), chunk_index, attempt, offset, length)

    def complete_chunk(self, work: ChunkWork, staged: StagedChunk) -> int:
        """Record a staged chunk; return how many are left, -1 when the job needs no more."""
        task_id = work.job.task_id
        names = [keys.job(task_id), keys.staged(task_id), keys.failures(task_id), keys.ACTIVE_JOBS]
        value = msgspec.json.encode(staged).decode()
        return int(
            self._run("complete_chunk", names, [work.chunk_index, value, work.item_count, task_id])
        )

    def fail_chunk(self, task_id: str, chunk_index: int, code: str, detail: str) -> State | None:
        """Record that a chunk failed for good, and fail its job; return the job's state."""
        return self._fail(task_id, code, detail, str(chunk_index))

    def fail_job(self, task_id: str, code: str, detail: str) -> State | None:
        """Record that the bundling failed for good, and fail the job; return the job's state."""
        return self._fail(task_id, code, detail, "")

    def claim_bundle(self, task_id: str, claimant: str, lease: int) -> JobFields | None:
        """Claim the bundling for ``lease`` milliseconds; None when there is nothing to be done."""
        names = [keys.job(task_id), keys.staged(task_id)]
        fields = self._run("claim_bundle", names, [claimant, lease])
        return _job_fields(fields) if fields else None

    def renew_claim(self, task_id: str, claimant: str, lease: int) -> bool:
        """Keep a claim for another ``lease`` milliseconds; 0 gives it back. False: it is lost."""
        return bool(self._run("renew_claim", [keys.job(task_id)], [claimant, lease]))

    def complete_job(self, task_id: str, claimant: str, bundle: Bundle) -> State | None:
        """Record the finished bundle if ``claimant`` holds the claim; return the job's state."""
        names = [keys.job(task_id), keys.ACTIVE_JOBS]
        value = msgspec.json.encode(bundle).decode()
        return cast("State | None", self._run("complete_job", names, [task_id, claimant, value]))

    def staged_chunks(self, task_id: str) -> list[StagedChunk]:
        """Return what is recorded of a job's staged chunks, in their order."""
        try:
            found = self._client.hgetall(keys.staged(task_id))
        except redis.RedisError as error:
            raise LedgerUnavailableError(str(error)) from error
        ordered = sorted(cast("dict[str, str]", found).items(), key=lambda pair: int(pair[0]))
        return [msgspec.json.decode(value, type=StagedChunk) for _, value in ordered]

    def ping(self) -> None:
        """Prove that Redis answers."""
        try:
            self._client.ping()
        except redis.RedisError as error:
            raise LedgerUnavailableError(str(error)) from error

    def _fail(self, task_id: str, code: str, detail: str, chunk: str) -> State | None:
        names = [keys.job(task_id), keys.staged(task_id), keys.failures(task_id), keys.ACTIVE_JOBS]
        return cast("State | None", self._run("fail_job", names, [task_id, code, detail, chunk]))

    def _run(self, name: str, names: list[str], arguments: list[Any]) -> Any:  # noqa: ANN401 - a script's reply has no type
        try:
            return self._scripts[name](keys=names, args=arguments)
        except redis.RedisError as error:
            raise LedgerUnavailableError(str(error)) from error


_SCRIPT_NAMES = (
    "create_job",
    "discard_job",
    "begin_chunk",
    "complete_chunk",
    "fail_job",
    "claim_bundle",
    "renew_claim",
    "complete_job",
)


def _source(name: str) -> str:
    """Return a script with the transition table and the server's clock before it."""
    table = ", ".join(
        f'["{state} {event}"] = "{after}"' for (state, event), after in TRANSITIONS.items()
    )
    body = resources.files("pipeline").joinpath("scripts", f"{name}.lua").read_text("utf-8")
    return _PRELUDE % table + body


def _all_keys(task_id: str) -> list[str]:
    families = (keys.job, keys.ranges, keys.staged, keys.attempts, keys.failures)
    return [family(task_id) for family in families]


def _job_fields(flat: list[str]) -> JobFields:
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    return msgspec.convert(fields, JobFields, strict=False)
