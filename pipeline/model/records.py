"""Records of a job in S3: the head of its request, its result, and the result of its webhook."""

from typing import Literal

import msgspec

from pipeline.model.states import CallbackState, State
from render.image import ErrorCorrection, ImageFormat


class JobFields(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a job that never change, without its items.

    Attributes:
        task_id: id of the job.
        key_id, key_name: id and name of the API key that owns the job.
        request_id: id of the accepted HTTP request, for the log.
        created_at: time of acceptance in milliseconds since the epoch, by which lists are sorted;
            stored as ``accepted_ms``.
        gtin, format, size, error_correction, link_base, callback_url: as in :class:`JobRequest`.
        items: number of items.
        chunk_size: number of items per chunk; the last chunk has the remaining ones.
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
        """Time of acceptance in seconds since the epoch, the time of all members of the bundle."""
        return self.created_at // 1000

    @property
    def chunks(self) -> int:
        """Number of chunks of the job."""
        return -(-self.items // self.chunk_size)


class Idempotency(msgspec.Struct, frozen=True):
    """SHA-256, hexadecimal, of an Idempotency-Key and of the body that was sent with it."""

    key_sha256: str
    body_sha256: str


class RequestHead(JobFields, frozen=True, kw_only=True):
    """The head of a request object; contains all that is needed to rebuild the job in the ledger.

    Attributes:
        version: schema version of the request object.
        ranges: offset and length in bytes of each chunk's items; offsets count from the end of the
            head.
        idempotency: the Idempotency-Key and body, if the request had such a key.
    """

    version: Literal[1] = 1
    ranges: list[tuple[int, int]]
    idempotency: Idempotency | None = None


class BundleTimes(msgspec.Struct, frozen=True, kw_only=True):
    """Timings of the building of a bundle, by the worker's clock.

    Attributes:
        begun_at: start, in milliseconds since the epoch.
        read_ms: milliseconds spent on waiting for staged chunks.
        zip_ms: milliseconds spent on the manifest and the archive.
        upload_ms: milliseconds spent on the rest of the upload, mostly on waiting for S3.
    """

    begun_at: int
    read_ms: float
    zip_ms: float
    upload_ms: float


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that is in S3.

    Attributes:
        bytes: size of the ZIP.
        sha256: SHA-256 of the ZIP, hexadecimal.
        expires_at: time from which the sweep may delete the bundle, in seconds since the epoch.
        times: timings of its building.
        verified: whether every row of the manifest is verified.
    """

    bytes: int
    sha256: str
    expires_at: int
    times: BundleTimes
    verified: bool = False


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The result record in S3: how a job ended. Written when no message can reopen the job.

    Attributes:
        state: ``completed``, or ``failed`` if the job was cancelled or missed its deadline.
        finished_at: time of the end, in milliseconds since the epoch.
        bundle: the bundle of a completed job.
        error, error_code: why the job failed.
    """

    version: Literal[1] = 1
    state: State
    finished_at: int
    bundle: Bundle | None = None
    error: str | None = None
    error_code: str | None = None


class CallbackRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The result of a webhook.

    Attributes:
        job_state, job_error_code: the end of the job that the webhook reports.
        callback_state: ``delivered`` or ``failed``; the other fields are those of
            :class:`JobStatus`.
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
        """Return whether the webhook reports ``result``, and not an earlier end of the job."""
        return (self.job_state, self.job_error_code) == (result.state, result.error_code)

    def fields(self) -> list[str | int]:
        """Return the fields of the ledger entry, names and values alternating."""
        values = msgspec.structs.asdict(self).items()
        kept = [(name, value) for name, value in values if name.startswith("callback_")]
        return [part for pair in kept if pair[1] is not None for part in pair]
