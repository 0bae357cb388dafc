"""Jobs: their types, their states, and the one function that says which state follows.

A job is one accepted request. Its life:

===========  ==========  ==========================================================
state        event       who moves a job here
===========  ==========  ==========================================================
pending      —           ``JobService.submit``, when the request is safe in S3
pending      retry       ``JobService.retry``, a failed job
running      begin       the first ``render_chunk`` that begins a chunk
running      reopen      ``render_chunk``, the last of a failed job's failed chunks, when its dead
                         letter was put back and it is staged
completed    complete    ``bundle_job``, when the bundle's upload is complete
failed       fail        a chunk or the bundling that failed for good; ``JobService.cancel``; the
                         sweep, when the deadline has passed
===========  ==========  ==========================================================

The ledger carries :data:`TRANSITIONS` into its scripts, so that there is one table and no second
opinion.
"""

from collections.abc import Sequence
from typing import Literal
from uuid import UUID

import msgspec

from render.image import ErrorCorrection, ImageFormat

State = Literal["pending", "running", "completed", "failed"]
CallbackState = Literal["pending", "delivered", "failed"]
Event = Literal["begin", "complete", "fail", "reopen", "retry"]

#: (state, event) -> the state that follows. A pair that is not here changes nothing: it is what is
#: left of a message that came late or twice.
TRANSITIONS: dict[tuple[State, Event], State] = {
    ("pending", "begin"): "running",
    ("pending", "fail"): "failed",
    ("running", "complete"): "completed",
    ("running", "fail"): "failed",
    ("failed", "reopen"): "running",
    ("failed", "retry"): "pending",
}
TERMINAL: frozenset[State] = frozenset({"completed", "failed"})

#: Upper bounds in seconds of the classes in which the ledger counts how long jobs took.
DURATION_BOUNDS = (0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)


def transition(state: State, event: Event) -> State:
    """Return the state of a job in ``state`` after ``event``."""
    return TRANSITIONS.get((state, event), state)


class Item(msgspec.Struct, frozen=True, array_like=True):
    """One symbol's values, checked.

    Attributes:
        lot: AI 10, or None.
        serial: AI 21, or None.
        expiry: AI 17 as YYMMDD, or None.
    """

    lot: str | None = None
    serial: str | None = None
    expiry: str | None = None


class EncodedItems:
    """A request's items as the request object holds them, filled chunk by chunk.

    Only their JSON is held, a tenth of what as many :class:`Item` take.

    Attributes:
        chunk_size: items a chunk has; the last one may have fewer.
        chunks: a JSON array of items each.
        count: how many items there are.
    """

    def __init__(self, chunk_size: int) -> None:
        self.chunk_size = chunk_size
        self.chunks: list[bytes] = []
        self.count = 0

    def append(self, items: Sequence[Item]) -> None:
        """Add the next chunk.

        Raises:
            ValueError: it is longer than a chunk, or comes behind one that was shorter.
        """
        if len(items) > self.chunk_size or self.count % self.chunk_size:
            raise ValueError(f"{len(items)} items behind {self.count} are not the next chunk")
        self.chunks.append(msgspec.json.encode(items))
        self.count += len(items)


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request: everything that decides what the bundle's bytes will be, but its time.

    Attributes:
        gtin: GTIN-14.
        items: 1 to ``QRMILL_MAX_ITEMS``.
        format: ``svg`` or ``png``.
        size: side of a PNG in pixels.
        error_correction: the least level of its symbols.
        link_base: what the URIs begin with; kept with the job, so that a re-run after a change of
            settings still makes the same bytes.
        callback_url: where to tell that the job has ended; empty for nowhere.
    """

    gtin: str
    items: EncodedItems
    format: ImageFormat
    size: int
    error_correction: ErrorCorrection
    link_base: str
    callback_url: str = ""


class JobFields(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same through a job's life, but for its items.

    Attributes:
        task_id: the job's id.
        key_id, key_name: the API key that owns the job, and whose that is.
        request_id: of the request that was accepted, for the log.
        accepted_at: when it was accepted, in whole seconds since the epoch; the time of every
            member of the bundle.
        gtin, format, size, error_correction, link_base, callback_url: as in :class:`JobRequest`.
        items: how many there are.
        chunk_size: items a chunk has; the last one has what is left.
    """

    task_id: str
    key_id: str
    key_name: str = ""
    request_id: str = ""
    accepted_at: int
    gtin: str
    format: ImageFormat
    size: int
    error_correction: ErrorCorrection
    link_base: str
    items: int
    chunk_size: int
    callback_url: str = ""

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
        accepted_ms: when it was accepted, in milliseconds since the epoch; 0 in objects that were
            written before this was.
        ranges: offset and length of each chunk's items, in bytes behind this head.
        idempotency: the request's idempotency key and body, if it had one.
    """

    version: Literal[1] = 1
    accepted_ms: int = 0
    ranges: list[tuple[int, int]]
    idempotency: Idempotency | None = None

    @property
    def created_at(self) -> int:
        """When the job was created, in milliseconds since the epoch: its place in lists."""
        return self.accepted_ms or self.accepted_at * 1000


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
        times: of its bundling; None of one that an older version built.
    """

    bytes: int
    sha256: str
    expires_at: int
    times: BundleTimes | None = None


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger knows of a job.

    Attributes:
        processed_items: items whose chunk is staged.
        chunks: chunks the job has; ``staged`` and ``failed`` of them have got that far.
        error: why it failed, for people; ``error_code`` for programs.
        closed: it failed, and no message opens it again.
        created_at, finished_at: in milliseconds since the epoch.
        callback_state: of the callback about the job's end; None before it, or when none was asked
            for.
        callback_event: id of that end, the same in every attempt to tell it.
        callback_attempts: attempts begun; ``callback_error`` says why the last one failed.
        callback_due_at, callback_delivered_at: in milliseconds since the epoch; an attempt at work
            has its due time behind it, so that another follows if it never reports.
    """

    task_id: str
    key_id: str
    key_name: str = ""
    state: State
    gtin: str
    format: ImageFormat
    size: int
    items: int
    processed_items: int
    chunk_size: int
    chunks: int
    staged: int
    failed: int
    created_at: int
    finished_at: int | None = None
    error: str | None = None
    error_code: str | None = None
    closed: bool = False
    bundle: Bundle | None = None
    callback_url: str = ""
    callback_state: CallbackState | None = None
    callback_event: str | None = None
    callback_attempts: int = 0
    callback_due_at: int | None = None
    callback_error: str | None = None
    callback_delivered_at: int | None = None


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


def parse_task_id(text: str) -> str:
    """Return ``text`` in the canonical form of a UUID (RFC 9562, section 4), in lower case.

    Raises:
        ValueError: it is not one.
    """
    canonical = str(UUID(text))
    if canonical != text.lower():
        raise ValueError(f"{text!r} is not a UUID in its canonical form")
    return canonical
