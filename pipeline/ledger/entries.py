"""Arguments and results of the ledger's scripts, and conversions of the entries in Redis."""

from typing import Any, Literal, NamedTuple

import msgspec

from pipeline.ledger import keys
from pipeline.model.jobs import JobStatus
from pipeline.model.layout import FIRST_LAYOUT, Layout
from pipeline.model.records import Bundle, JobFields, RequestHead, Result
from pipeline.model.states import State

#: Results of :meth:`Ledger.stage_chunk` that are not a number of chunks.
NO_MORE_NOW, OF_NO_USE = -1, -2

Action = Literal["ended", "late", "bundle", "chunks", "moving"]


class ChunkWork(msgspec.Struct, frozen=True):
    """A chunk to be rendered.

    Attributes:
        message_id: id of the message that requests the chunk.
        attempt: number of deliveries of the chunk that did not end with an error, including this
            one.
        offset, length: range of the chunk's items in the request object, in bytes.
        reopens: whether the job has failed, so that staging the chunk may reopen it.
        items: the chunk's items, as in that range; empty if the ledger does not have them.
    """

    job: JobFields
    chunk_index: int
    message_id: str
    attempt: int
    offset: int
    length: int
    reopens: bool = False
    items: str = ""

    @property
    def first_item(self) -> int:
        """Index of the chunk's first item in the job, counted from 0."""
        return self.chunk_index * self.job.chunk_size

    @property
    def item_count(self) -> int:
        """Number of items in the chunk; the job's last chunk may have fewer than the others."""
        return min(self.job.chunk_size, self.job.items - self.first_item)


class Diagnosis(NamedTuple):
    """Diagnosis of a job in flight.

    Attributes:
        action: the action that the job needs.
        chunks: indexes of the chunks to enqueue again if ``action`` is ``chunks``; else empty.
    """

    action: Action
    chunks: list[int]


class ExpiredJob(NamedTuple):
    """A job whose retention period is over.

    Attributes:
        state: the job's state; empty if its entry is missing; ``newer`` if a newer release wrote
            the entry.
        key_id: id of the tenant that owns the job; empty if that is unknown.
    """

    task_id: str
    state: State | Literal["", "newer"]
    key_id: str


def version_of(fields: dict[str, Any]) -> int:
    """Return the schema version of an entry."""
    return int(fields.get("version", 1))


def status_of(fields: dict[str, Any], staged: int, failed: int) -> JobStatus:
    """Return the status of a job from its hash and its numbers of staged and failed chunks."""
    bundle = fields.pop("bundle", None)
    decoded = msgspec.json.decode(bundle, type=Bundle) if bundle else None
    if decoded is not None:
        staged = int(fields["chunks"])
    values = {**fields, "staged": staged, "failed": failed, "bundle": decoded}
    values["layout"] = _layout_of(fields)
    return msgspec.convert(values, JobStatus, strict=False)


def state_keys(task_id: str) -> list[str]:
    """Return the keys that hold the changing state of a job, the job hash first."""
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


def entry_keys(task_id: str) -> list[str]:
    """Return all keys of a job's entry."""
    return [*state_keys(task_id), keys.ranges(task_id), keys.letters(task_id)]


def flat_fields(head: RequestHead) -> list[str | int]:
    """Return alternating field names and values, the form that HSET takes."""
    fields = {name: getattr(head, name) for name in JobFields.__struct_fields__}
    del fields["created_at"]  # the scripts write it
    del fields["layout"]
    if head.layout != FIRST_LAYOUT:
        fields["layout"] = msgspec.json.encode(head.layout).decode()
    # Release 0.2.0 reads the time of acceptance in seconds from this field.
    if head.idempotency is not None:
        fields["idempotency_key"] = head.idempotency.key_sha256
    fields |= {"accepted_at": head.accepted_at, "chunks": head.chunks, "version": head.version}
    return [part for pair in fields.items() for part in pair]


def flat_ranges(head: RequestHead, head_bytes: int) -> list[str]:
    """Return ``offset length`` of each chunk's items in the request object, in bytes."""
    return [f"{head_bytes + offset} {length}" for offset, length in head.ranges]


def result_of(fields: dict[str, Any]) -> Result:
    """Return the result of an ended job from the fields of its hash."""
    bundle = fields.get("bundle")
    decoded = msgspec.json.decode(bundle, type=Bundle) if bundle else None
    return msgspec.convert({**fields, "bundle": decoded, "version": 1}, Result, strict=False)


def job_fields(flat: list[str]) -> JobFields:
    """Decode a job from alternating field names and values, the form that HGETALL returns."""
    fields: dict[str, Any] = dict(zip(flat[::2], flat[1::2], strict=True))
    fields["accepted_ms"] = fields["created_at"]
    fields["layout"] = _layout_of(fields)
    return msgspec.convert(fields, JobFields, strict=False)


def chunk_work(reply: list[Any], chunk_index: int, message_id: str) -> ChunkWork:
    """Return the work that the script ``begin_chunk`` gives out."""
    attempt, byte_range, flat, items = reply
    offset, length = map(int, byte_range.split())
    failed = dict(zip(flat[::2], flat[1::2], strict=True))["state"] == "failed"
    job = job_fields(flat)
    return ChunkWork(job, chunk_index, message_id, attempt, offset, length, failed, items)


def _layout_of(fields: dict[str, Any]) -> Layout:
    """Return the layout of a job from the fields of its hash."""
    layout = fields.get("layout")
    return msgspec.json.decode(layout, type=Layout) if layout else FIRST_LAYOUT
