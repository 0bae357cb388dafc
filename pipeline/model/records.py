"""Records of a job in S3: the head of its request, its result, and the result of its webhook."""

from typing import Literal

import msgspec

from pipeline.model.layout import FIRST_LAYOUT, Layout
from pipeline.model.states import CallbackState, State
from render.image import ErrorCorrection, ImageFormat


class RequestWarning(msgspec.Struct, frozen=True, omit_defaults=True):
    """A warning about a value of an accepted request that is legal but probably not intended.

    Attributes:
        pointer: JSON Pointer (RFC 6901) of the value in the JSON form of the request.
        code: stable name of the warning, for programs.
        detail: what is suspicious about the value, for people.
        line, column: for CSV, the line of the record and the number of the field, from 1.
    """

    pointer: str
    code: str
    detail: str
    line: int | None = None
    column: int | None = None


class JobFields(msgspec.Struct, frozen=True, kw_only=True):
    """The immutable fields of a job, except its items.

    Attributes:
        task_id: id of the job.
        key_id: id of the tenant that owns the job, which is the id of the tenant's first API key.
        key_name: name of the API key that sent the request.
        request_id: id of the accepted HTTP request, for the log.
        created_at: time of acceptance in milliseconds since the epoch, stored as ``accepted_ms``.
            Lists are sorted by this time.
        gtin, format, size, error_correction, link_base, callback_url: as in :class:`JobRequest`.
        items: number of items.
        chunk_size: number of items per chunk; the last chunk has the remaining items.
        warnings_total: number of warnings about the request, including unlisted ones.
        layout: as in :class:`JobRequest`.
        sent_by: id of the API key that sent the request; empty if that is ``key_id``.
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
    warnings_total: int = 0
    layout: Layout = FIRST_LAYOUT
    sent_by: str = ""

    @property
    def accepted_at(self) -> int:
        """Time of acceptance in seconds since the epoch; all bundle members carry this time."""
        return self.created_at // 1000

    @property
    def chunks(self) -> int:
        """Number of chunks of the job."""
        return -(-self.items // self.chunk_size)


class Idempotency(msgspec.Struct, frozen=True, omit_defaults=True):
    """Digests of an Idempotency-Key and of the request that carries it, hexadecimal.

    A request with the key is a repetition if either its body or its meaning is the same. Release
    0.2.0 compares the body only.

    Attributes:
        key_sha256: SHA-256 of the key.
        body_sha256: SHA-256 of the body.
        meaning_sha256: result of :meth:`JobRequest.meaning_sha256`; empty if unknown.
    """

    key_sha256: str
    body_sha256: str
    meaning_sha256: str = ""


class RequestHead(JobFields, frozen=True, kw_only=True):
    """The head of a request object; contains all that is needed to rebuild the job in the ledger.

    Attributes:
        version: schema version of the request object and of the job's ledger entry, the lowest that
            the job's fields need.
        ranges: offset and length in bytes of each chunk's items; offsets count from the end of the
            head.
        idempotency: digests of the Idempotency-Key and the request; None if the request had no
            Idempotency-Key.
    """

    version: Literal[1, 2, 3] = 1
    ranges: list[tuple[int, int]]
    idempotency: Idempotency | None = None


class RequestTail(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The last line of a request object: what release 0.2.0 does not store.

    Attributes:
        version: schema version of the request object.
        warnings: the listed warnings about the request.
        warnings_total: number of warnings, including unlisted ones.
        meaning_sha256: as in :class:`Idempotency`.
        layout: layout of the job; None for that of release 0.2.0.
        sent_by: as in :class:`JobFields`.
        key_name: name of the API key that sent the request; empty if the head has it.
    """

    version: Literal[1] = 1
    warnings: tuple[RequestWarning, ...] = ()
    warnings_total: int = 0
    meaning_sha256: str = ""
    layout: Layout | None = None
    sent_by: str = ""
    key_name: str = ""


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
    """The result record in S3: how a job ended; written once no message can reopen the job.

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
        job_state, job_error_code: state and error code with which the job ended, as reported by
            the webhook.
        callback_state: ``delivered`` or ``failed``.
        callback_event, callback_attempts, callback_error, callback_delivered_at: as in
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
        """Return the webhook's fields in the ledger entry, with names and values alternating."""
        values = msgspec.structs.asdict(self).items()
        kept = [(name, value) for name, value in values if name.startswith("callback_")]
        return [part for pair in kept if pair[1] is not None for part in pair]
