"""What the ledger's scripts take and return: work, ends, and entries as Redis holds them."""

from typing import Any, Literal, NamedTuple

import msgspec

from pipeline.ledger import keys
from pipeline.model.jobs import JobStatus
from pipeline.model.records import Bundle, JobFields, RequestHead, Result
from pipeline.model.states import State

#: What :meth:`Ledger.stage_chunk` answers beside a number of chunks.
NO_MORE_NOW, OF_NO_USE = -1, -2

Action = Literal["ended", "late", "bundle", "chunks", "moving"]


class ChunkWork(msgspec.Struct, frozen=True):
    """A chunk to be rendered.

    Attributes:
        message_id: of the message that asks for it.
        attempt: deliveries of it that did not end with an error, this one included.
        offset, length: where its items stand in the request object, in bytes.
    """

    job: JobFields
    chunk_index: int
    message_id: str
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


class Diagnosis(NamedTuple):
    """What a job in flight needs, and for ``chunks`` which of them."""

    action: Action
    chunks: list[int]


class ExpiredJob(NamedTuple):
    """A job that has outlived its time.

    Attributes:
        state: empty when nothing but its end is known; ``newer`` of one that a newer release wrote.
        key_id: of the API key that owned it; empty when that is not known.
    """

    task_id: str
    state: State | Literal["", "newer"]
    key_id: str


def version_of(fields: dict[str, Any]) -> int:
    """Return the version of an entry."""
    return int(fields.get("version", 1))


def status_of(fields: dict[str, Any], staged: int, failed: int) -> JobStatus:
    """Return what an entry's hash and the counts of its chunks say."""
    bundle = fields.pop("bundle", None)
    decoded = msgspec.json.decode(bundle, type=Bundle) if bundle else None
    if decoded is not None:
        staged = int(fields["chunks"])
    values = {**fields, "staged": staged, "failed": failed, "bundle": decoded}
    return msgspec.convert(values, JobStatus, strict=False)


def parts_of(task_id: str) -> list[str]:
    """Return the keys of an entry that a re-run begins anew, the job's own first."""
    families = (
        keys.job,
        keys.staged,
        keys.failures,
        keys.attempts,
        keys.leases,
        keys.handled_errors,
        keys.errors,
    )
    return [family(task_id) for family in families]


def keys_of(task_id: str) -> list[str]:
    """Return all keys of an entry."""
    return [*parts_of(task_id), keys.ranges(task_id), keys.letters(task_id)]


def flat_fields(head: RequestHead) -> list[str | int]:
    """Return names and values by turns, as HSET takes them."""
    fields = {name: getattr(head, name) for name in JobFields.__struct_fields__}
    del fields["created_at"]  # the scripts write it
    # Release 0.2.0 reads the moment in seconds here.
    fields |= {"accepted_at": head.accepted_at, "chunks": head.chunks, "version": head.version}
    return [part for pair in fields.items() for part in pair]


def flat_ranges(head: RequestHead, head_bytes: int) -> list[str]:
    """Return where each chunk's items stand in the request object: offset and length, in bytes."""
    return [f"{head_bytes + offset} {length}" for offset, length in head.ranges]


def result_of(fields: dict[str, Any]) -> Result:
    """Return how a job ended, as its entry's hash has it."""
    bundle = fields.get("bundle")
    decoded = msgspec.json.decode(bundle, type=Bundle) if bundle else None
    return msgspec.convert({**fields, "bundle": decoded, "version": 1}, Result, strict=False)


def job_fields(flat: list[str]) -> JobFields:
    """Return what names and values by turns, as HGETALL gives them, say."""
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    fields["accepted_ms"] = fields["created_at"]
    return msgspec.convert(fields, JobFields, strict=False)
