"""Jobs: what a request asks for, and what the ledger knows of it."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from pipeline.model.records import Bundle
from pipeline.model.states import CallbackState, State
from render.image import ErrorCorrection, ImageFormat


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


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger knows of a job.

    Attributes:
        processed_items: items whose chunk is staged.
        chunks: chunks the job has; ``staged`` and ``failed`` of them have got that far.
        error: why it failed, for people; ``error_code`` for programs.
        final: it failed, and no message opens it again.
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
    key_name: str
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
    final: bool = msgspec.field(default=False, name="closed")
    bundle: Bundle | None = None
    callback_url: str = ""
    callback_state: CallbackState | None = None
    callback_event: str | None = None
    callback_attempts: int = 0
    callback_due_at: int | None = None
    callback_error: str | None = None
    callback_delivered_at: int | None = None


def poll_url(prefix: str, task_id: str) -> str:
    """Return the path at which a client polls a job, below the API's ``prefix``."""
    return f"{prefix}/qr/bulk/{task_id}/"


def parse_task_id(text: str) -> str:
    """Return ``text`` in the canonical form of a UUID (RFC 9562, section 4), in lower case.

    Raises:
        ValueError: it is not one.
    """
    canonical = str(UUID(text))
    if canonical != text.lower():
        raise ValueError(f"{text!r} is not a UUID in its canonical form")
    return canonical
