"""JSON form of a bulk request, with items that are decoded in batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    gc=False,  # strings alone cannot form a reference cycle
)
#: A bulk request as it was sent; it shows whether a member was absent, too.
_SentEnvelope: Any = msgspec.defstruct(
    "_SentEnvelope",
    [(field.name, field.type | UnsetType, UNSET) for field in msgspec.structs.fields(_Envelope)],
    forbid_unknown_fields=True,
)
#: Maximum number of commas per item: 3 between and after its fields, 20 each in lot and serial.
_MOST_COMMAS = 3 + 20 + 20

_envelope_decoder = msgspec.json.Decoder(_SentEnvelope)
_items_decoder = msgspec.json.Decoder(list[_SentItem])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_json(body: bytes, limits: RequestLimits, violations: Violations) -> ParsedRequest:
    """Parse a JSON request. The items are decoded only when the batches are read.

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
    if body.count(b",") > _MOST_COMMAS * (limits.max_items + 1):
        raise _too_many_values(limits)
    fields = _decode_envelope(body, violations)
    envelope = _Envelope(**PLACEHOLDERS | fields)
    items = envelope.items
    batches: Iterator[ItemBatch] = iter(())
    if 1 <= len(items) <= limits.max_items:
        batches = _batches(items, limits.chunk_size, violations, _ColonCount(body, fields))
    elif "items" in fields:
        check_distinct(body, _members.decode(body), "")
        violations.append(wrong_count(str(len(items)), limits))
    warnings = Warnings(violations, strict=envelope.strict)
    return ParsedRequest(envelope, len(items), batches, warnings)


def _decode_envelope(body: bytes, violations: Violations) -> dict[str, Any]:
    """Return the members of a request, with undecoded items; invalid ones are left out."""
    try:
        sent = _envelope_decoder.decode(body)
    except NOT_DECODED:
        return decode_fields(body, _Envelope, "", violations)
    fields = {name: getattr(sent, name) for name in _Envelope.__struct_fields__}
    fields = {name: value for name, value in fields.items() if value is not UNSET}
    if not {"gtin", "items"} <= fields.keys():
        return decode_fields(body, _Envelope, "", violations)
    return fields


def _too_many_values(limits: RequestLimits) -> ProblemError:
    detail = (
        f"The body has more values than a request of {limits.max_items} items can have. Send fewer "
        "items per request."
    )
    violations = Violations()
    violations.append(Violation("/items", "range", detail))
    return invalid(violations)


class _ColonCount:
    """Detects whether a request has a member twice, after all of its items have been read.

    Outside of strings, JSON has exactly one colon per member. The colons of a request are therefore
    those of its items, one per member of the request itself, and those in its strings. The known
    names of members contain no colon. Any further colon may belong to a repeated member.

    Args:
        body: JSON of the request.
        fields: its decoded members.
    """

    def __init__(self, body: bytes, fields: Mapping[str, Any]) -> None:
        self._body = body
        inside = sum(text.count(":") for text in fields.values() if isinstance(text, str))
        self._rest = body.count(b":") - len(fields) - inside
        # A colon that is counted here may be escaped in the body, and thus not be counted there.
        self._is_exact = not inside or b"\\" not in body

    def subtract(self, colons: int) -> None:
        """Subtract the colons of a batch of items."""
        self._rest -= colons

    def finish(self) -> None:
        """Check that the request itself has no member twice.

        Raises:
            ProblemError: 400 if the request has a member twice.
        """
        if self._rest or not self._is_exact:
            check_distinct(self._body, _members.decode(self._body), "")


def _batches(
    items: Sequence[msgspec.Raw], size: int, violations: Violations, colon_count: _ColonCount
) -> Iterator[ItemBatch]:
    for first in range(0, len(items), size):
        chunk = items[first : first + size]
        indices = range(first, first + len(chunk))
        encoded = b"[" + b",".join(chunk) + b"]"
        colons = encoded.count(b":")
        colon_count.subtract(colons)
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
        if colons != members and not _is_complete(encoded, colons, members, columns.values()):
            _check_each(chunk, indices)
        yield ItemBatch(columns, indices, (), _locate)
    colon_count.finish()


def _column(sent: Sequence[Any]) -> tuple[Column, int]:
    """Return the column of a field, and how many items do not have the field."""
    distinct = {*sent}
    if UNSET not in distinct:
        return Column(sent, distinct), 0
    if len(distinct) == 1:
        return Column([None] * len(sent), {None}), len(sent)
    values = [None if value is UNSET else value for value in sent]
    return Column.of(values), sent.count(UNSET)


def _is_complete(encoded: bytes, colons: int, members: int, columns: Iterable[Column]) -> bool:
    """Return whether the number of colons proves that no member of a batch was dropped.

    This is so if there is one colon per decoded member, and each further colon is in a decoded
    value. Returns False if an escape may hide a colon; each item is then checked, which takes
    longer.

    Args:
        encoded: JSON of the items.
        colons: number of colons in ``encoded``.
        members: number of decoded members.
        columns: the decoded values.
    """
    if b"\\" in encoded:
        return False
    texts = (value for column in columns for value in column.values if value)
    return colons - "".join(texts).count(":") == members


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
