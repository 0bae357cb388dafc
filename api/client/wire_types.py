"""Types of the API's requests and responses, defined here so that the client needs no server code.

The service's types with the same fields are in ``api/schemas``; a test compares both with each
other and with the OpenAPI document. Limits of values are not repeated here; the service checks
values.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

State = Literal["pending", "running", "completed", "failed"]
ChunkState = Literal["pending", "running", "staged", "failed"]
CallbackState = Literal["pending", "delivered", "failed"]
Role = Literal["client", "operator"]
ImageFormat = Literal["svg", "png", "pdf", "eps"]
ErrorCorrection = Literal["L", "M", "Q", "H"]
FilePages = Literal["each", "single"]
#: Error codes in the OpenAPI document; a service of another version may send others.
ErrorCode = Literal[
    "backlog_full",
    "forbidden",
    "invalid_request",
    "key_in_use",
    "key_reused",
    "malformed_csv",
    "malformed_gzip",
    "malformed_json",
    "not_acceptable",
    "not_found",
    "not_possible",
    "over_item_rate",
    "over_rate",
    "too_large",
    "unauthorized",
    "unavailable",
    "unsupported_coding",
    "unsupported_media_type",
]


class BulkItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """Values of one symbol.

    Attributes:
        lot: batch or lot number (AI 10).
        serial: serial number (AI 21).
        expiry: expiration date, YYMMDD (AI 17).
        gtin: GTIN of this item (AI 01), in place of the request's.
        production_date, packaging_date, best_before_date, sell_by_date: dates, YYMMDD (AI 11, 13,
            15, 16).
        variant: consumer product variant (AI 22).
        name: name of the image, without extension.
        extra: values for the manifest's columns ``x_…``, by name.
    """

    lot: str | None = None
    serial: str | None = None
    expiry: str | None = None
    gtin: str | None = None
    production_date: str | None = None
    packaging_date: str | None = None
    best_before_date: str | None = None
    sell_by_date: str | None = None
    variant: str | None = None
    name: str | None = None
    extra: dict[str, str] | None = None


class RequestWarning(msgspec.Struct, frozen=True, omit_defaults=True):
    """A value that is valid but probably not intended; a warning does not reject the request.

    Attributes:
        pointer: location in the JSON form, as a JSON Pointer (RFC 6901).
        code: name of the warning.
        detail: what is suspicious about the value, and what to do.
        line: for CSV, the line on which the record begins, counted from 1.
        column: for CSV, the field of the record, counted from 1.
    """

    pointer: str
    code: str
    detail: str
    line: int | None = None
    column: int | None = None


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True):
    """Response to an accepted request.

    Attributes:
        task_id: UUID of the task.
        status: state.
        items: number of items.
        poll_url: path of the task's status.
        warnings: the first warnings, at most 100.
        warnings_total: number of warnings.
    """

    task_id: str
    status: Literal["pending"]
    items: int
    poll_url: str
    warnings: list[RequestWarning] = []
    warnings_total: int = 0


class Violation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One invalid value of a request.

    Attributes:
        pointer: location in the JSON form, as a JSON Pointer (RFC 6901).
        code: name of the violated rule.
        detail: what is wrong with the value, and what to send instead.
        line: for CSV, the line on which the record begins, counted from 1.
        column: for CSV, the field of the record, counted from 1.
    """

    pointer: str
    code: str
    detail: str
    line: int | None = None
    column: int | None = None


class Problem(msgspec.Struct, frozen=True):
    """An error response (RFC 9457), as far as the client reads it.

    Attributes:
        error_code: name of the error.
        detail: what went wrong and what to do.
        retryable: whether the same request may succeed later; None if the service is of a release
            before 0.3.
        errors: the first invalid values, at most 100.
        errors_total: number of invalid values.
    """

    error_code: str
    detail: str
    retryable: bool | None = None
    errors: list[Violation] | None = None
    errors_total: int | None = None


class SymbolCount(msgspec.Struct, frozen=True):
    """Number of symbols of one version and error correction level, and the size of their images.

    Attributes:
        version: version of the symbols, 1 to 40.
        error_correction: error correction level of the symbols.
        count: number of such symbols.
        width_px: side of a PNG in pixels, quiet zone included; None for the other formats.
        width_mm: side of an image in millimetres, quiet zone included; None for a PNG without
            resolution.
        xdim_mm: effective X-dimension in millimetres; None for a PNG without resolution. All three
            sizes are None from a service that does not report them.
    """

    version: int
    error_correction: ErrorCorrection
    count: int
    width_px: int | None = None
    width_mm: float | None = None
    xdim_mm: float | None = None


class Serials(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Serial numbers that the service makes: a range, or drawn at random.

    Attributes:
        start: first serial number of a range, whose last run of digits is counted up.
        count: number of serial numbers.
        step: difference between two serial numbers of a range.
        random: whether the serial numbers are drawn at random.
        length: number of characters of serial numbers drawn at random.
    """

    start: str | None = None
    count: int
    step: int | None = None
    random: bool = False
    length: int | None = None


class SerialExamples(msgspec.Struct, frozen=True):
    """Examples of the serial numbers that the service would make.

    Attributes:
        samples: the first serial numbers, and the last one.
        reserved: False, because a dry run reserves no serial numbers.
    """

    samples: list[str]
    reserved: bool = False


class DryRun(msgspec.Struct, frozen=True):
    """Result of a dry run; nothing was accepted.

    Attributes:
        would_accept: whether every value is valid.
        items: number of items.
        symbols: symbols of the valid items; empty if a shared value is invalid.
        errors: the first invalid values, at most 100.
        errors_total: number of invalid values.
        warnings: the first warnings, at most 100.
        warnings_total: number of warnings.
        serials: examples of the serial numbers of a valid request with ``serials``; otherwise
            UNSET, which counts as false.
    """

    would_accept: bool
    items: int
    symbols: list[SymbolCount]
    errors: list[Violation]
    errors_total: int
    warnings: list[RequestWarning] = []
    warnings_total: int = 0
    serials: SerialExamples | UnsetType = UNSET


class Chunks(msgspec.Struct, frozen=True):
    """Progress of a task's chunks.

    Attributes:
        total: number of chunks.
        staged: rendered, waiting to be bundled.
        failed: permanently failed.
    """

    total: int
    staged: int
    failed: int


class BundleResponse(msgspec.Struct, frozen=True):
    """The finished ZIP.

    Attributes:
        bytes: size.
        sha256: hexadecimal digest of the whole file.
        expires_at: when the service may delete the file, ISO 8601.
        verified: whether every symbol was read back; False from a service that does not report it.
    """

    bytes: int
    sha256: str
    expires_at: str
    verified: bool = False


class CallbackResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Delivery of the webhook that reports the end of a task.

    Attributes:
        state: ``pending`` until an attempt succeeds or the last attempt has failed.
        attempts: number of attempts started.
        last_error: result of the last attempt; None unless the attempt failed.
        next_attempt_at: time of the next attempt, ISO 8601; None before the task has ended and
            after the last attempt.
        delivered_at: time of the delivery, ISO 8601; None unless delivered.
    """

    state: CallbackState
    attempts: int
    last_error: str | None
    next_attempt_at: str | None
    delivered_at: str | None


class TaskStatus(msgspec.Struct, frozen=True, kw_only=True):
    """State and progress of a task.

    Attributes:
        task_id: UUID of the task.
        status: state.
        download_url: presigned again for every poll; None unless completed.
        expires_at: when ``download_url`` stops working, ISO 8601; None without a ``download_url``.
        items: number of symbols in the bundle; None unless completed.
        error: why the task failed; None unless failed.
        error_code: stable name of ``error``.
        processed_items: number of items rendered so far.
        total_items: number of items in the request.
        progress_percent: 0 to 100.
        chunks: progress of the chunks.
        created_at: time when the request was accepted, ISO 8601.
        finished_at: time when the task ended, ISO 8601; None while in flight.
        bundle: the finished ZIP; None unless completed.
        callback: delivery of the webhook; None if the request had no ``callback_url``.
    """

    task_id: str
    status: State
    download_url: str | None
    expires_at: str | None
    items: int | None
    error: str | None
    error_code: str | None
    processed_items: int
    total_items: int
    progress_percent: float
    chunks: Chunks
    created_at: str
    finished_at: str | None
    bundle: BundleResponse | None
    callback: CallbackResponse | None


class TaskSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A task in a list; fields of the same name as in ``TaskStatus`` have the same meaning.

    Attributes:
        gtin: GTIN-14 of the request; if it has none, that of its first item.
        format: image format.
        size: side of a PNG in pixels; ignored for a task with an X-dimension.
        key: name of the API key that sent the request.
        poll_url: path of the task's status.
        tenant: id of the tenant that the task belongs to; empty from a service that does not report
            it.
        sent_by: id of the API key that sent the request; empty from a service that does not report
            it.
    """

    task_id: str
    status: State
    gtin: str
    format: ImageFormat
    size: int
    processed_items: int
    total_items: int
    error: str | None
    error_code: str | None
    created_at: str
    finished_at: str | None
    key: str
    poll_url: str
    tenant: str = ""
    sent_by: str = ""


class TaskList(msgspec.Struct, frozen=True):
    """A page of tasks, newest first."""

    tasks: list[TaskSummary]
    next_cursor: str | None


class ChunkResponse(msgspec.Struct, frozen=True, kw_only=True):
    """State of a chunk.

    Attributes:
        index: number of the chunk, counted from 0.
        first_item: index of the first item, counted from 1 as in the manifest.
        last_item: index of the last item, counted from 1 as in the manifest.
        state: state of the chunk; ``pending`` if not started, or requeued for a retry.
        attempts: number of attempts started.
        error: why the last failed attempt failed.
        error_code: stable name of ``error``.
    """

    index: int
    first_item: int
    last_item: int
    state: ChunkState
    attempts: int
    error: str | None
    error_code: str | None


class ChunkList(msgspec.Struct, frozen=True):
    """A page of a task's chunks, in order."""

    chunks: list[ChunkResponse]
    next_cursor: str | None


class NewKeyRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """An API key to create.

    Attributes:
        name: owner of the key, 1 to 80 characters.
        role: what the key permits; an operator's key permits everything.
        per_minute: requests per minute; 0 for the service's default.
        per_day: requests per day; 0 for the service's default.
        tenant: id of a tenant or of any of its keys, or a tenant's name; None for a new tenant with
            the id and the name of the key.
        expires_in_days: 1 to 3650; None for a key that does not expire.
        items_per_minute: items per minute; 0 for the service's default.
        items_per_day: items per day; 0 for the service's default.
        link_bases: link bases that the key may use, the default first; empty for the service's.
    """

    name: str
    role: Role = "client"
    per_minute: int = 0
    per_day: int = 0
    tenant: str | None = None
    expires_in_days: int | None = None
    items_per_minute: int = 0
    items_per_day: int = 0
    link_bases: tuple[str, ...] = ()


class ImportKeyRequest(NewKeyRequest, frozen=True, kw_only=True):
    """An API key to create for a token that clients already have.

    Attributes:
        token: 32 to 255 visible ASCII characters, at least 32 of them random; does not begin with
            ``qrmill_``.
    """

    token: str

    def __repr__(self) -> str:
        # No traceback may contain the token.
        return f"<{type(self).__name__}>"


class RotationRequest(msgspec.Struct, frozen=True):
    """Rotation of an API key.

    Attributes:
        days: 0 to 365 days for which the former key still works.
    """

    days: int = 7


class KeyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An API key, without its secret.

    Attributes:
        key_id: 12 lower-case letters and digits.
        name: owner of the key.
        role: what the key permits; an operator's key permits everything.
        per_minute: requests per minute; 0 for the service's default.
        per_day: requests per day; 0 for the service's default.
        created_at: ISO 8601.
        revoked_at: ISO 8601; None unless the key was revoked.
        expires_at: ISO 8601; None if the key does not expire.
        last_used_at: day of the last request, ISO 8601 in UTC; None if there was none.
        tenant: id of the key's tenant; empty from a service that does not report it.
        tenant_name: name of the tenant; empty from a service that does not report it.
        imported: whether the token was imported, and not made by the service.
        items_per_minute: items per minute; 0 for the service's default.
        items_per_day: items per day; 0 for the service's default.
        link_bases: link bases that the key may use, the default first; empty for the service's.
    """

    key_id: str
    name: str
    role: Role
    per_minute: int
    per_day: int
    created_at: str
    revoked_at: str | None
    expires_at: str | None = None
    last_used_at: str | None = None
    tenant: str = ""
    tenant_name: str = ""
    imported: bool = False
    items_per_minute: int = 0
    items_per_day: int = 0
    link_bases: tuple[str, ...] = ()


class NewKeyResponse(KeyResponse, frozen=True, kw_only=True):
    """A new API key.

    Attributes:
        api_key: the token to send as X-API-Key; the service shows it only once.
    """

    api_key: str


class RotatedKeyResponse(NewKeyResponse, frozen=True, kw_only=True):
    """A new API key that replaces another one of its tenant.

    Attributes:
        former: the key that was rotated, with the time when it expires.
    """

    former: KeyResponse


class KeyList(msgspec.Struct, frozen=True):
    """Every API key."""

    keys: list[KeyResponse]


class WebhookSecretResponse(msgspec.Struct, frozen=True):
    """A new webhook secret.

    Attributes:
        key_id: id of the API key that the secret was created with.
        webhook_secret: ``whsec_`` and Base64; the service shows it only once.
        former_signs_until: time until which the former secret signs as well, ISO 8601; None without
            a former secret.
        tenant: id of the tenant whose webhooks are signed; empty from a service that does not
            report it.
    """

    key_id: str
    webhook_secret: str
    former_signs_until: str | None
    tenant: str = ""
