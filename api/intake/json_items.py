"""JSON form of a bulk request: a small one is decoded at once, the items of others in batches."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api.http.json_decoding import decode_fields
from api.http.json_members import (
    NOT_DECODED,
    commas_outside_strings,
    count_elements,
    distinct_names,
    is_complete,
)
from api.http.problems import ProblemError, Violations, invalid
from api.intake.bulk_request import ParsedRequest
from api.intake.item_batch import (
    FIRST_FIELDS,
    ITEM_FIELDS,
    OTHER_FIELDS,
    Column,
    ItemBatch,
    Location,
)
from api.intake.item_gtins import has_gtin
from api.intake.serials_request import read_serials_json
from api.intake.validation import ANY_GTIN, PLACEHOLDERS, RequestLimits, shared_gtin, wrong_count
from api.intake.warnings import Warnings
from api.schemas.problems import Violation
from api.schemas.tasks import MAX_EXTRA_NAMES, BulkItem, BulkRequest


class _Envelope(BulkRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bulk request whose items are not decoded yet."""

    items: list[msgspec.Raw]  # type: ignore[assignment]  # replaces list[BulkItem]


#: Fields of :class:`BulkItem` as they were sent, with UNSET for a member that was absent.
_SENT_FIELDS: list[Any] = [
    (field.name, field.type | UnsetType, UNSET) for field in msgspec.structs.fields(BulkItem)
]
#: An item as it was sent, and one that has only the first fields, which is decoded faster.
_SentItem: Any = msgspec.defstruct(
    "_SentItem",
    _SENT_FIELDS,
    forbid_unknown_fields=True,
    gc=False,  # strings alone cannot form a reference cycle
)
_PlainItem: Any = msgspec.defstruct(
    "_PlainItem",
    [field for field in _SENT_FIELDS if field[0] in FIRST_FIELDS],
    forbid_unknown_fields=True,
    gc=False,
)
#: The fields that only some items have, and that are columns of a batch.
_COLUMN_FIELDS = OTHER_FIELDS[:-1]
#: A bulk request as it was sent; it shows whether a member was absent, too.
_SentRequest: Any = msgspec.defstruct(
    "_SentRequest",
    [
        (field.name, {"items": list[_PlainItem]}.get(field.name, field.type) | UnsetType, UNSET)
        for field in msgspec.structs.fields(BulkRequest)
    ],
    forbid_unknown_fields=True,
)
#: Maximum number of commas per plain item: 3 between and after its fields, 20 each in lot and
#: serial.
_MOST_COMMAS = 3 + 20 + 20
#: Maximum number of commas per plain item, and per item with all fields, outside of strings. It
#: leaves room for a few unknown fields, each of which is then reported.
_FEW_VALUES, _MOST_VALUES = len(FIRST_FIELDS) + 8, len(ITEM_FIELDS) + MAX_EXTRA_NAMES + 8
#: Maximum size in bytes of a body that is decoded at once: 128 bytes per item for 5000 items.
_MOST_AT_ONCE = 128 * 5000
#: Maximum size in bytes of items that are decoded together.
_MOST_TOGETHER = 256 * 1024

_request_decoder = msgspec.json.Decoder(_SentRequest)
_plain_decoder = msgspec.json.Decoder(list[_PlainItem])
_items_decoder = msgspec.json.Decoder(list[_SentItem])
#: Decodes only, as they were sent, the two fields of which a request has one.
_serials_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    msgspec.defstruct(
        "_SentKinds", [(name, msgspec.Raw | UnsetType, UNSET) for name in ("items", "serials")]
    )
)
#: Decodes only the extra values of an item, undecoded.
_extra_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    msgspec.defstruct("_SentExtra", [("extra", msgspec.Raw, msgspec.Raw(b"{}"))])
)


def read_json(body: bytes, limits: RequestLimits, violations: Violations) -> ParsedRequest:
    """Parse a JSON request. The items of a large body are decoded only when the batches are read.

    Args:
        body: JSON.
        limits: limits of the service.
        violations: receives a violation for each invalid value, also while the batches are read.

    Raises:
        ProblemError: 400 if the body is not JSON or an object has a member twice; 422 if the body
            has more values than any valid request. Reading the batches may raise the 400 error,
            too.
    """
    # Decoding a huge number of tiny values would need many times the memory of the body.
    if _has_too_many_values(body, limits):
        raise _too_many_values(limits)
    if (with_serials := _read_with_serials(body, limits, violations)) is not None:
        return with_serials
    if len(body) <= _MOST_AT_ONCE:
        parsed = _read_at_once(body, limits, violations)
        if parsed is not None:
            return parsed
    fields = decode_fields(body, _Envelope, "", violations)
    # What is no object is reported as a whole.
    if fields.get("gtin") is None and not has_gtin(body, otherwise=True):
        has_own = any(has_gtin(item, otherwise=False) for item in fields.get("items", ()))
        fields["gtin"] = shared_gtin(has_own=has_own, violations=violations)
    envelope = _Envelope(**PLACEHOLDERS | fields)
    items = envelope.items
    batches: Iterator[ItemBatch] = iter(())
    if 1 <= len(items) <= limits.max_items:
        batches = _batches(items, limits.chunk_size, violations)
    elif "items" in fields:
        violations.append(wrong_count(str(len(items)), limits))
    warnings = Warnings(violations, strict=envelope.strict)
    may_have_names = b'name"' in body or b"\\" in body
    return ParsedRequest(envelope, len(items), batches, warnings, may_have_names)


def _read_with_serials(
    body: bytes, limits: RequestLimits, violations: Violations
) -> ParsedRequest | None:
    """Parse a request with ``serials``; return None if the body is no such request."""
    if b'"serials"' not in body and b"\\" not in body:
        return None
    try:
        sent = _serials_decoder.decode(body)
    except NOT_DECODED:
        return None
    if sent.serials is UNSET:
        return None
    if sent.items is UNSET:
        return read_serials_json(body, limits, violations)
    detail = "The request has both items and serials. Send either the items, or the serials."
    violations.append(Violation("/serials", "contradiction", detail))
    head = BulkRequest(gtin=ANY_GTIN, items=[])
    return ParsedRequest(head, 0, iter(()), Warnings(violations, strict=False))


def _read_at_once(
    body: bytes, limits: RequestLimits, violations: Violations
) -> ParsedRequest | None:
    """Parse a well-formed plain request in one pass over its body.

    Returns None if an item has other fields than the first ones, a value has the wrong type, the
    number of items is wrong, or a member may be repeated.
    """
    fields = _decode_at_once(body)
    items = fields.pop("items", ())
    if fields.get("gtin") is None or not 1 <= len(items) <= limits.max_items:
        return None
    batches, members = _split(items, limits.chunk_size)
    members += 1 + len(fields)  # "items", and the other members of the request
    texts = chain(
        (value for value in fields.values() if isinstance(value, str)),
        chain.from_iterable(_texts(batch.columns) for batch in batches),
    )
    if not is_complete(body, members, texts):
        return None
    head = BulkRequest(**fields, items=[])
    return ParsedRequest(head, len(items), iter(batches), Warnings(violations, strict=head.strict))


def _decode_at_once(body: bytes) -> dict[str, Any]:
    """Return the members of a request; none if a value has the wrong type."""
    try:
        sent = _request_decoder.decode(body)
    except NOT_DECODED:
        return {}
    fields = {name: getattr(sent, name) for name in BulkRequest.__struct_fields__}
    return {name: value for name, value in fields.items() if value is not UNSET}


def _split(items: Sequence[Any], size: int) -> tuple[list[ItemBatch], int]:
    """Return the batches of decoded items, and how many members the items have."""
    batches, members = [], 0
    for first in range(0, len(items), size):
        found = items[first : first + size]
        columns, present = _columns(found)
        members += present
        batches.append(ItemBatch(columns, range(first, first + len(found)), (), _locate))
    return batches, members


def _has_too_many_values(body: bytes, limits: RequestLimits) -> bool:
    """Return whether a body has more values than a valid request, and a few unknown fields."""
    commas, items = body.count(b","), limits.max_items + 1
    if commas <= _FEW_VALUES * items:
        return False
    outside = commas_outside_strings(body)
    return outside > _FEW_VALUES * items and (
        outside > _MOST_VALUES * items or count_elements(body, 2) > items
    )


def _too_many_values(limits: RequestLimits) -> ProblemError:
    detail = (
        f"The body has more values than a request of {limits.max_items} items can have. Send fewer "
        f"items per request, with no other fields than {', '.join(ITEM_FIELDS)}."
    )
    violations = Violations()
    violations.append(Violation("/items", "range", detail))
    return invalid(violations)


def _batches(
    items: Sequence[msgspec.Raw], size: int, violations: Violations
) -> Iterator[ItemBatch]:
    first = 0
    while first < len(items):
        chunk = _decoded_together(items[first : first + size])
        indices = range(first, first + len(chunk))
        first += len(chunk)
        encoded = b"[" + b",".join(chunk) + b"]" if len(chunk[0]) < _MOST_TOGETHER else b""
        found = _decoded(encoded)
        if found is None:
            yield _decode_one_by_one(chunk, indices, violations)
            continue
        columns, members = _columns(found)
        extras, extra_texts = _extras(found)
        members += len(extra_texts) // 2
        if not is_complete(encoded, members, chain(_texts(columns), extra_texts)):
            _check_each(chunk, indices)
        yield ItemBatch(columns, indices, (), _locate, extras)


def _decoded(encoded: bytes) -> Sequence[Any] | None:
    """Return the decoded items; None if a value has the wrong type."""
    for decoder in (_plain_decoder, _items_decoder):
        try:
            found: list[Any] = decoder.decode(encoded)
        except NOT_DECODED:
            continue
        return found
    return None


def _decoded_together(items: Sequence[msgspec.Raw]) -> Sequence[msgspec.Raw]:
    """Return the first of some items, as many as are decoded together but at least one."""
    ends = accumulate(len(item) + 1 for item in items)
    return items[: max(1, sum(end < _MOST_TOGETHER for end in ends))]


def _columns(items: Sequence[Any]) -> tuple[dict[str, Column], int]:
    """Return the columns of items, and how many members the items have."""
    members = 0
    # One comprehension per field takes a third of the time of a loop over the fields.
    sent = {
        "lot": [item.lot for item in items],
        "serial": [item.serial for item in items],
        "expiry": [item.expiry for item in items],
    }
    if not isinstance(items[0], _PlainItem):
        sent |= {field: [*map(attrgetter(field), items)] for field in _COLUMN_FIELDS}
        members = sum(item.extra is not UNSET for item in items)
    columns: dict[str, Column] = {}
    for field, values in sent.items():
        column, absent = _column(values)
        members += len(values) - absent
        if field in FIRST_FIELDS or column.texts():
            columns[field] = column
    return columns, members


def _extras(items: Sequence[Any]) -> tuple[list[dict[str, str] | None] | None, list[str]]:
    """Return the extra values of items, or None without any, and their names and values."""
    if isinstance(items[0], _PlainItem):
        return None, []
    extras = [item.extra or None for item in items]
    present = [extra for extra in extras if extra]
    return (extras if present else None), [
        text for extra in present for pair in extra.items() for text in pair
    ]


def _column(sent: Sequence[Any]) -> tuple[Column, int]:
    """Return the column of a field, and how many items do not have the field."""
    distinct = {*sent}
    if UNSET not in distinct:
        return Column(sent, distinct), 0
    if len(distinct) == 1:
        return Column([None] * len(sent), {None}), len(sent)
    values = [None if value is UNSET else value for value in sent]
    return Column.of(values), sent.count(UNSET)


def _texts(columns: Mapping[str, Column]) -> Iterator[str]:
    """Yield the values of each field as one text."""
    for column in columns.values():
        yield "".join(filter(None, column.values))


def _check_each(chunk: Sequence[msgspec.Raw], indices: Sequence[int]) -> None:
    """Check that no item, and no object of extra values, has a member twice.

    Raises:
        ProblemError: 400 if one has a member twice.
    """
    for raw, index in zip(chunk, indices, strict=True):
        pointer = f"/items/{index}"
        deque(distinct_names(bytes(raw), pointer), maxlen=0)  # reads all names
        extra = _extra_decoder.decode(raw).extra
        deque(distinct_names(bytes(extra), f"{pointer}/extra"), maxlen=0)


def _decode_one_by_one(
    chunk: Sequence[msgspec.Raw], indices: Sequence[int], violations: Violations
) -> ItemBatch:
    """Decode a batch in which at least one value has the wrong type, and record each violation."""
    decoded, unreadable = [], []
    for place, (raw, index) in enumerate(zip(chunk, indices, strict=True)):
        before = len(violations)
        decoded.append(decode_fields(raw, BulkItem, f"/items/{index}", violations))
        if len(violations) > before:
            unreadable.append(place)
    columns = {
        field: Column.of([each.get(field) for each in decoded])
        for field in (*FIRST_FIELDS, *_COLUMN_FIELDS)
    }
    kept = {
        field: column
        for field, column in columns.items()
        if field in FIRST_FIELDS or column.texts()
    }
    extras = [each.get("extra") for each in decoded]
    return ItemBatch(kept, indices, unreadable, _locate, extras if any(extras) else None)


def _locate(index: int, field: str | None) -> Location:
    return Location(f"/items/{index}" if field is None else f"/items/{index}/{field}")
