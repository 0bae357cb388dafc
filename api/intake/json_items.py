"""The JSON form of a bulk request: its items are decoded a run at a time."""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from api.http.decoding import NOT_DECODED, decode_fields
from api.http.problems import ProblemError, Violations, invalid
from api.intake.bulk_request import Form
from api.intake.validation import STAND_INS, Place, Rules, Run, wrong_count
from api.schemas.problems import Violation
from api.schemas.tasks import BulkItem, BulkRequest
from pipeline.service import Item


class _Envelope(BulkRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bulk request whose items are only known to be JSON."""

    items: list[msgspec.Raw]  # type: ignore[assignment]  # in their place


#: Commas that an item may come with: between its fields, behind it, and in its lot and serial.
_MOST_COMMAS = 3 + 20 + 20

_envelope_decoder = msgspec.json.Decoder(_Envelope)
_items_decoder = msgspec.json.Decoder(list[BulkItem])


def read_json(body: bytes, rules: Rules, violations: Violations) -> Form:
    """Return what ``body`` says; its items are read as they are taken.

    Args:
        body: JSON.
        rules: of the service.
        violations: what is wrong is appended.

    Raises:
        ProblemError: 400, it is not JSON; also while items are taken.
    """
    # To find it to be JSON takes many times a body's size if it is made of countless tiny values.
    if body.count(b",") > _MOST_COMMAS * (rules.max_items + 1):
        raise _too_many_values(rules)
    try:
        envelope = _envelope_decoder.decode(body)
    except NOT_DECODED:
        fields = decode_fields(body, _Envelope, "", violations)
        envelope = _Envelope(**STAND_INS | fields)
        if "items" not in fields:
            return Form(envelope, 0, iter(()))
    items = envelope.items
    if 1 <= len(items) <= rules.max_items:
        return Form(envelope, len(items), _runs(items, rules.chunk_size, violations))
    violations.append(wrong_count(str(len(items)), rules))
    return Form(envelope, len(items), iter(()))


def _too_many_values(rules: Rules) -> ProblemError:
    detail = f"The body has more values than a request of {rules.max_items} items can have."
    violations = Violations()
    violations.append(Violation("/items", "range", detail))
    return invalid(violations)


def _runs(items: Sequence[msgspec.Raw], size: int, violations: Violations) -> Iterator[Run]:
    for first in range(0, len(items), size):
        part = items[first : first + size]
        try:
            found = _items_decoder.decode(b"[" + b",".join(part) + b"]")
        except NOT_DECODED:
            yield _readable(part, first, violations)
        else:
            read = [Item(item.lot, item.serial, item.expiry) for item in found]
            yield Run(read, (), _places(first))


def _readable(part: Sequence[msgspec.Raw], first: int, violations: Violations) -> Run:
    """Return a run of what in ``part`` has the right type."""
    items, unreadable = [], []
    for place, raw in enumerate(part):
        before = len(violations)
        fields = decode_fields(raw, BulkItem, f"/items/{first + place}", violations)
        items.append(Item(**fields))
        if len(violations) > before:
            unreadable.append(place)
    return Run(items, unreadable, _places(first))


def _places(first: int) -> Callable[[int, str | None], Place]:
    def place(number: int, field: str | None) -> Place:
        pointer = f"/items/{first + number}"
        return Place(pointer if field is None else f"{pointer}/{field}")

    return place
