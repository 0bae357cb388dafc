"""JSON form of a bulk request, with items that are decoded in batches."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from api.http.json_decoding import NOT_DECODED, decode_fields
from api.http.problems import ProblemError, Violations, invalid
from api.intake.bulk_request import ParsedRequest
from api.intake.validation import PLACEHOLDERS, ItemBatch, Location, RequestLimits, wrong_count
from api.schemas.problems import Violation
from api.schemas.tasks import BulkItem, BulkRequest
from pipeline.service import Item


class _Envelope(BulkRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bulk request whose items are not decoded yet."""

    items: list[msgspec.Raw]  # type: ignore[assignment]  # replaces list[BulkItem]


#: Maximum number of commas per item: 3 between and after its fields, 20 each in lot and serial.
_MOST_COMMAS = 3 + 20 + 20

_envelope_decoder = msgspec.json.Decoder(_Envelope)
_items_decoder = msgspec.json.Decoder(list[BulkItem])


def read_json(body: bytes, limits: RequestLimits, violations: Violations) -> ParsedRequest:
    """Parse a JSON request. The items are decoded only when the batches are read.

    Args:
        body: JSON.
        limits: limits of the service.
        violations: receives a violation for each invalid value, also while the batches are read.

    Raises:
        ProblemError: 400 if the body is not JSON, which reading the batches may raise too; 422 if
            the body has more values than any valid request.
    """
    # Decoding a huge number of tiny values would need many times the memory of the body.
    if body.count(b",") > _MOST_COMMAS * (limits.max_items + 1):
        raise _too_many_values(limits)
    try:
        envelope = _envelope_decoder.decode(body)
    except NOT_DECODED:
        fields = decode_fields(body, _Envelope, "", violations)
        envelope = _Envelope(**PLACEHOLDERS | fields)
        if "items" not in fields:
            return ParsedRequest(envelope, 0, iter(()))
    items = envelope.items
    if 1 <= len(items) <= limits.max_items:
        return ParsedRequest(envelope, len(items), _batches(items, limits.chunk_size, violations))
    violations.append(wrong_count(str(len(items)), limits))
    return ParsedRequest(envelope, len(items), iter(()))


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
        try:
            found = _items_decoder.decode(b"[" + b",".join(chunk) + b"]")
        except NOT_DECODED:
            yield _decode_one_by_one(chunk, first, violations)
        else:
            read = [Item(item.lot, item.serial, item.expiry) for item in found]
            yield ItemBatch(read, (), _locator(first))


def _decode_one_by_one(
    chunk: Sequence[msgspec.Raw], first: int, violations: Violations
) -> ItemBatch:
    """Decode a batch in which at least one value has the wrong type, and record each violation."""
    items, unreadable = [], []
    for index, raw in enumerate(chunk):
        before = len(violations)
        fields = decode_fields(raw, BulkItem, f"/items/{first + index}", violations)
        items.append(Item(**fields))
        if len(violations) > before:
            unreadable.append(index)
    return ItemBatch(items, unreadable, _locator(first))


def _locator(first: int) -> Callable[[int, str | None], Location]:
    def locate(index: int, field: str | None) -> Location:
        pointer = f"/items/{first + index}"
        return Location(pointer if field is None else f"{pointer}/{field}")

    return locate
