"""Jobs: the checked request, its items, and the status in the ledger."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, cast
from uuid import UUID

import msgspec

from pipeline.model.layout import FIRST_LAYOUT, Layout
from pipeline.model.records import Bundle, RequestWarning
from pipeline.model.states import CallbackState, State
from render.gs1.link import digital_link_uri
from render.image import ErrorCorrection, ImageFormat


class Item(msgspec.Struct, frozen=True, array_like=True):
    """The checked values of one symbol.

    Attributes:
        lot: batch or lot number (AI 10), or None.
        serial: serial number (AI 21), or None.
        expiry: expiration date (AI 17) as YYMMDD, or None.
        gtin: GTIN-14 of the symbol (AI 01); None for that of the job.
        production_date, packaging_date, best_before_date, sell_by_date: dates (AI 11, 13, 15, 16)
            as YYMMDD, or None.
        variant: consumer product variant (AI 22), or None.
        name: name of the item's file without extension; None for the default.
        extra: values for the manifest by name, sorted by name; None for none.
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

    @property
    def other_dates(self) -> tuple[str | None, ...]:
        """The dates of :data:`render.gs1.ai.OTHER_DATE_AIS`."""
        return self.production_date, self.packaging_date, self.best_before_date, self.sell_by_date

    def uri(self, base: str, gtin14: str) -> str:
        """Return the Digital Link URI of the item.

        Args:
            base: base of the URI.
            gtin14: GTIN-14 of the job.
        """
        return digital_link_uri(
            base,
            self.gtin or gtin14,
            self.lot,
            self.serial,
            self.expiry,
            self.other_dates,
            self.variant,
        )


#: The values of an item, in the order of the fields of :class:`Item`; last values that are None may
#: be left out.
ItemRow = tuple[Any, ...]
#: Number of an item's fields that release 0.2.0 knows; an :data:`ItemRow` has at least as many.
FIRST_FIELDS = 3


def item_row(values: Iterable[Any]) -> ItemRow:
    """Return all values of an item without the last ones that are None.

    The JSON of a job without new fields is therefore that of release 0.2.0.
    """
    row = [*values]
    while len(row) > FIRST_FIELDS and row[-1] is None:
        row.pop()
    return tuple(row)


class EncodedItems:
    """A request's items as the JSON of the request object, appended chunk by chunk.

    The JSON takes a tenth of the memory that the same number of :class:`Item` objects take.

    Attributes:
        chunk_size: number of items per chunk; the last chunk may have fewer.
        chunks: one JSON array of items per chunk.
        count: number of items in all chunks.
    """

    def __init__(self, chunk_size: int) -> None:
        self.chunk_size = chunk_size
        self.chunks: list[bytes] = []
        self.count = 0

    def append(self, items: Sequence[Item] | Sequence[ItemRow]) -> None:
        """Append the next chunk.

        Args:
            items: the items. Their values, as :func:`item_row` returns them, are encoded alike, and
                are faster to create.

        Raises:
            ValueError: If there are more items than a chunk holds, or if the previous chunk is not
                full.
        """
        if len(items) > self.chunk_size or self.count % self.chunk_size:
            raise ValueError(
                f"cannot append {len(items)} items after {self.count}: "
                f"chunks have {self.chunk_size} items"
            )
        if items and isinstance(items[0], Item):
            structs = cast("Sequence[Item]", items)
            items = [item_row(msgspec.structs.astuple(each)) for each in structs]
        self.chunks.append(msgspec.json.encode(items))
        self.count += len(items)


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A checked request.

    The request and the time of its acceptance determine every byte of the bundle.

    Attributes:
        gtin: GTIN-14 of the items that have none of their own; if all have one, that of the first.
        items: 1 to ``QRMILL_MAX_ITEMS`` items.
        format: image format.
        size: side of a PNG in pixels; ignored if the layout has an X-dimension.
        error_correction: lowest error correction level of the symbols.
        link_base: base of the Digital Link URIs; stored with the job, so that a re-run gives the
            same bytes even if the setting has changed.
        chosen_base: the base if the request chose another one than the default; else empty.
        callback_url: URL of the webhook; empty for none.
        warnings: the listed warnings about the request.
        warnings_total: number of warnings, including unlisted ones.
        layout: what else decides the images and the files of the bundle.
        drawn: what stands for the items in the meaning of a request whose serials are drawn at
            random; empty if the client determines all items.
    """

    gtin: str
    items: EncodedItems
    format: ImageFormat
    size: int
    error_correction: ErrorCorrection
    link_base: str
    chosen_base: str = ""
    callback_url: str = ""
    warnings: tuple[RequestWarning, ...] = ()
    warnings_total: int = 0
    layout: Layout = FIRST_LAYOUT
    drawn: bytes = b""

    def meaning_sha256(self) -> str:
        """Return the SHA-256, hexadecimal, of what the request means.

        It does not depend on the form (JSON or CSV), the order of members or columns, white space,
        escapes, defaults that are written out, or the chunk size. Warnings are left out, because
        they name lines and columns, and their texts differ between releases. A link base that is
        the default is left out as well.
        """
        layout = self.layout
        # The order of an item's members decides the order of the manifest's columns, and yet has no
        # meaning.
        layout = msgspec.structs.replace(layout, extra_names=tuple(sorted(layout.extra_names)))
        meaning = _Meaning(
            self.gtin,
            self.format,
            self.size,
            self.error_correction,
            self.callback_url,
            None if layout == FIRST_LAYOUT else layout,
            self.chosen_base,
        )
        digest = hashlib.sha256(msgspec.json.encode(meaning))
        for chunk in [self.drawn] if self.drawn else self.items.chunks:
            digest.update(b",")
            digest.update(memoryview(chunk)[1:-1])  # the items without the array's brackets
        return digest.hexdigest()


class _Meaning(msgspec.Struct, frozen=True, omit_defaults=True):
    """The fields of a request that a client sets, without its items.

    Defaults are left out, so that a field that a later release adds changes no digest.
    """

    gtin: str
    format: ImageFormat = "png"
    size: int = 400
    error_correction: ErrorCorrection = "M"
    callback_url: str = ""
    layout: Layout | None = None
    link_base: str = ""


class JobStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The status of a job in the ledger.

    Attributes:
        key_id, key_name, sent_by: as in :class:`JobFields`.
        processed_items: number of items whose chunk is staged.
        chunks, staged, failed: number of chunks in total, staged, and failed.
        error, error_code: why the job failed, for people and for programs.
        final: whether the job has failed, and can be reopened by a retry request but by no message.
        created_at, finished_at: times of acceptance and end, in milliseconds since the epoch.
        callback_state: state of the webhook; None before the job's end, and if the request has no
            ``callback_url``.
        callback_event: the webhook's id, the same in every attempt.
        callback_attempts: number of attempts begun.
        callback_error: why the last attempt failed.
        callback_due_at: time of the next attempt, in milliseconds since the epoch. While an attempt
            runs, this is the end of its lease: another attempt follows if the running one never
            reports its outcome.
        callback_delivered_at: time of the delivery, in milliseconds since the epoch.
    """

    task_id: str
    key_id: str
    key_name: str
    state: State
    gtin: str
    format: ImageFormat
    size: int
    layout: Layout = FIRST_LAYOUT
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
    sent_by: str = ""


def poll_url(prefix: str, task_id: str) -> str:
    """Return the path that a client polls for a job, including the API's ``prefix``."""
    return f"{prefix}/qr/bulk/{task_id}/"


def parse_task_id(text: str) -> str:
    """Return a task id in the canonical form of a UUID (RFC 9562, section 4), in lower case.

    Raises:
        ValueError: If ``text`` is not a UUID in its canonical form.
    """
    canonical = str(UUID(text))
    if canonical != text.lower():
        raise ValueError(f"{text!r} is not a UUID in its canonical form")
    return canonical
