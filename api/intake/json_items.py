"""JSON form of a bulk request, with items that are decoded in batches."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from api.http.json_decoding import NOT_DECODED, decode_fields
from api.http.json_members import check_distinct
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
    gc=False,  # strings only, which refer to nothing
)
#: Maximum number of commas per item: 3 between and after its fields, 20 each in lot and serial.
_MOST_COMMAS = 3 + 20 + 20

_items_decoder = msgspec.json.Decoder(list[_SentItem])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_json(body: bytes, limits: RequestLimits, violations: Violations) -> ParsedRequest:
    """Parse a JSON request. The items are decoded only when the batches are read.

    Args:
        body: JSON.
        limits: limits of the service.
        violations: receives a violation for each invalid value, also while the batches are read.

    Raises:
        ProblemError: 400 if the body is not JSON or an object has a member twice, which reading the
            batches may raise too; 422 if the body has more values than any valid request.
    """
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
        # One comprehension per field takes a third of the time of a loop over the fields.
        sent = {
            "lot": [item.lot for item in found],
            "serial": [item.serial for item in found],
            "expiry": [item.expiry for item in found],
        }
        columns, members = {}, 0
        for field, values in sent.items():
            columns[field], absent = _column(values)
            members += len(values) - absent
        if not _is_complete(encoded, members, columns.values()):
            _check_each(chunk, indices)
        yield ItemBatch(columns, indices, (), _locate)


def _column(sent: Sequence[Any]) -> tuple[Column, int]:
    """Return the column of a field, and how many items do not have the field."""
    distinct = {*sent}
    if UNSET not in distinct:
        return Column(sent, distinct), 0
    if len(distinct) == 1:
        return Column([None] * len(sent), {None}), len(sent)
    values = [None if value is UNSET else value for value in sent]
    return Column.of(values), sent.count(UNSET)


def _is_complete(encoded: bytes, members: int, columns: Iterable[Column]) -> bool:
    """Return whether JSON has as many members as were decoded, so that none was repeated.

    Outside of strings, JSON has as many colons as members. The colons in values are counted only
    if there is no escape, which could hide one. Returns False if the answer would take longer.

    Args:
        encoded: JSON of the items of a batch.
        members: number of decoded members.
        columns: the decoded values.
    """
    colons = encoded.count(b":")
    if colons == members:
        return True
    if b"\\" in encoded:
        return False
    texts = (value for column in columns for value in column.values if value)
    return colons - "".join(texts).count(":") == members


def _check_each(chunk: Sequence[msgspec.Raw], indices: Sequence[int]) -> None:
    """Check that no item has a member twice.

    Raises:
        ProblemError: 400 if an item does.
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
