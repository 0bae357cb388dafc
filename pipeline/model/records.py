"""The records of a job in S3: its request's head, how it ended, and how its callback ended."""

from typing import Literal

import msgspec

from pipeline.model.states import CallbackState, State
from render.image import ErrorCorrection, ImageFormat


class JobFields(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same through a job's life, but for its items.

    Attributes:
        task_id: the job's id.
        key_id, key_name: the API key that owns the job, and whose that is.
        request_id: of the request that was accepted, for the log.
        created_at: when it was accepted, in milliseconds since the epoch: its place in lists. It
            is stored as ``accepted_ms``.
        gtin, format, size, error_correction, link_base, callback_url: as in :class:`JobRequest`.
        items: how many there are.
        chunk_size: items a chunk has; the last one has what is left.
    """

    task_id: str
    key_id: str
    key_name: str
    request_id: str
    created_at: int = msgspec.field(name="accepted_ms")
    gtin: str
    format: ImageFormat
    size: int
    error_correction: ErrorCorrection
    link_base: str
    items: int
    chunk_size: int
    callback_url: str

    @property
    def accepted_at(self) -> int:
        """When it was accepted, in whole seconds: the time of every member of the bundle."""
        return self.created_at // 1000

    @property
    def chunks(self) -> int:
        """How many chunks the job has."""
        return -(-self.items // self.chunk_size)


class Idempotency(msgspec.Struct, frozen=True):
    """An Idempotency-Key and the body it came with, as SHA-256, hexadecimal."""

    key_sha256: str
    body_sha256: str


class RequestHead(JobFields, frozen=True, kw_only=True):
    """What the request object says of a job before its items; enough to rebuild the ledger.

    Attributes:
        version: of this layout.
        ranges: offset and length of each chunk's items, in bytes behind this head.
        idempotency: the request's idempotency key and body, if it had one.
    """

    version: Literal[1] = 1
    ranges: list[tuple[int, int]]
    idempotency: Idempotency | None = None


class BundleTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Where the time of a bundling went, by its worker's clock.

    Attributes:
        begun_at: in milliseconds since the epoch.
        read_ms: spent waiting for staged chunks, in milliseconds.
        zip_ms: spent on the manifest and the archive.
        upload_ms: spent on the upload beside that, mostly waiting for S3.
    """

    begun_at: int
    read_ms: float
    zip_ms: float
    upload_ms: float


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The finished ZIP.

    Attributes:
        bytes: its size.
        sha256: of the whole file, hexadecimal.
        expires_at: when it may be removed, in seconds since the epoch.
        times: of its bundling.
    """

    bytes: int
    sha256: str
    expires_at: int
    times: BundleTimes


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result record in S3: how a job ended, where no message can change that any more.

    Attributes:
        state: ``completed``, or ``failed`` when it was cancelled or late.
        finished_at: in milliseconds since the epoch.
        bundle: of a completed job; ``error`` and ``error_code`` of a failed one.
    """

    version: Literal[1] = 1
    state: State
    finished_at: int
    bundle: Bundle | None = None
    error: str | None = None
    error_code: str | None = None


class CallbackRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a callback ended.

    Attributes:
        job_state, job_error_code: the end it is about.
        callback_state: ``delivered`` or ``failed``; the others as in :class:`JobStatus`.
    """

    version: Literal[1] = 1
    job_state: State
    job_error_code: str | None = None
    callback_state: CallbackState
    callback_event: str
    callback_attempts: int
    callback_error: str | None = None
    callback_delivered_at: int | None = None

    def is_about(self, result: Result) -> bool:
        """Return whether this is the callback about ``result``, and not about an end before it."""
        return (self.job_state, self.job_error_code) == (result.state, result.error_code)

    def fields(self) -> list[str | int]:
        """Return the ledger's fields and their values, one after the other."""
        values = msgspec.structs.asdict(self).items()
        kept = [(name, value) for name, value in values if name.startswith("callback_")]
        return [part for pair in kept if pair[1] is not None for part in pair]
