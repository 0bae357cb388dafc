"""JSON form of a bulk request: a small one is decoded at once, the items of others in batches."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api.http.json_decoding import NOT_DECODED, decode_fields
from api.http.json_members import check_distinct, is_complete
from api.http.problems import ProblemError, Violations, invalid
from api.intake.bulk_request import ParsedRequest
from api.intake.item_batch import ITEM_FIELDS, Column, ItemBatch, Location
from api.intake.validation import PLACEHOLDERS, RequestLimits, wrong_count
from api.intake.warnings import Warnings
from api.schemas.problems import Violation
from api.schemas.tasks import BulkItem, BulkRequest


class _Envelope(BulkRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bulk request whose items are not decoded yet."""

    items: list[msgspec.Raw]  # type: ignore[assignment]  # replaces list[BulkItem]


#: An item as it was sent. In contrast to :class:`BulkItem`, it shows whether a member was absent.
_SentItem: Any = msgspec.defstruct(
    "_SentItem",
    [(field.name, field.type | UnsetType, UNSET) for field in msgspec.structs.fields(BulkItem)],
    forbid_unknown_fields=True,
    gc=False,  # strings alone cannot form a reference cycle
)
#: A bulk request as it was sent; it shows whether a member was absent, too.
_SentRequest: Any = msgspec.defstruct(
    "_SentRequest",
    [
        (field.name, {"items": list[_SentItem]}.get(field.name, field.type) | UnsetType, UNSET)
        for field in msgspec.structs.fields(BulkRequest)
    ],
    forbid_unknown_fields=True,
)
#: Maximum number of commas per item: 3 between and after its fields, 20 each in lot and serial.
_MOST_COMMAS = 3 + 20 + 20
#: Maximum size in bytes of a body that is decoded at once: 128 bytes per item for 5000 items.
#: Decoded, the body takes up to 16 times as much memory, which is the ratio of empty items.
_MOST_AT_ONCE = 128 * 5000

_request_decoder = msgspec.json.Decoder(_SentRequest)
_items_decoder = msgspec.json.Decoder(list[_SentItem])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


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
    if len(body) <= _MOST_AT_ONCE:
        parsed = _read_at_once(body, limits, violations)
        if parsed is not None:
            return parsed
    # Decoding a huge number of tiny values would need many times the memory of the body.
    if body.count(b",") > _MOST_COMMAS * (limits.max_items + 1):
        raise _too_many_values(limits)
    fields = decode_fields(body, _Envelope, "", violations)
    envelope = _Envelope(**PLACEHOLDERS | fields)
    items = envelope.items
    batches: Iterator[ItemBatch] = iter(())
    if 1 <= len(items) <= limits.max_items:
        batches = _batches(items, limits.chunk_size, violations)
    elif "items" in fields:
        violations.append(wrong_count(str(len(items)), limits))
    warnings = Warnings(violations, strict=envelope.strict)
    return ParsedRequest(envelope, len(items), batches, warnings)


def _read_at_once(
    body: bytes, limits: RequestLimits, violations: Violations
) -> ParsedRequest | None:
    """Parse a well-formed request in one pass over its body.

    Returns None if a value has the wrong type, the number of items is wrong, or a member may be
    repeated.
    """
    fields = _decode_at_once(body)
    items = fields.pop("items", ())
    if "gtin" not in fields or not 1 <= len(items) <= limits.max_items:
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


def _too_many_values(limits: RequestLimits) -> ProblemError:
    detail = (
        f"The body has more values than a request of {limits.max_items} items can have. Send fewer "
        "items per request."
    )
    violations = Violations()
    violations.append(Violation("/items", "range", detail))
    return invalid(violations)


def _batches(
    items: Sequence[msgspec.Raw], size: int, violations: Violations
) -> Iterator[ItemBatch]:
    for first in range(0, len(items), size):
        chunk = items[first : first + size]
        indices = range(first, first + len(chunk))
        encoded = b"[" + b",".join(chunk) + b"]"
        try:
            found = _items_decoder.decode(encoded)
        except NOT_DECODED:
            yield _decode_one_by_one(chunk, indices, violations)
            continue
        columns, members = _columns(found)
        if not is_complete(encoded, members, _texts(columns)):
            _check_each(chunk, indices)
        yield ItemBatch(columns, indices, (), _locate)


def _columns(items: Sequence[Any]) -> tuple[dict[str, Column], int]:
    """Return the columns of items, and how many members the items have."""
    # One comprehension per field takes a third of the time of a loop over the fields.
    sent = {
        "lot": [item.lot for item in items],
        "serial": [item.serial for item in items],
        "expiry": [item.expiry for item in items],
    }
    columns, members = {}, 0
    for field, values in sent.items():
        columns[field], absent = _column(values)
        members += len(values) - absent
    return columns, members


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
    """Check that no item has a member twice.

    Raises:
        ProblemError: 400 if an item has a member twice.
    """
    for raw, index in zip(chunk, indices, strict=True):
        check_distinct(raw, _members.decode(raw), f"/items/{index}")


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
    columns = {field: Column.of([each.get(field) for each in decoded]) for field in ITEM_FIELDS}
    return ItemBatch(columns, indices, unreadable, _locate)


def _locate(index: int, field: str | None) -> Location:
    return Location(f"/items/{index}" if field is None else f"/items/{index}/{field}")
