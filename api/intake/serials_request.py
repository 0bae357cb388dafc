"""Requests with serials that the service makes, in place of items: as JSON, or in the query."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from api.http.json_decoding import decode_fields
from api.http.problems import Violations
from api.http.query import convert_query
from api.intake.bulk_request import ParsedRequest
from api.intake.csv_dates import convert_dates
from api.intake.item_batch import (
    DATE_FIELDS,
    EXTRA_PREFIX,
    FIRST_FIELDS,
    ITEM_FIELDS,
    Column,
    ItemBatch,
    Location,
)
from api.intake.item_gtins import has_gtin
from api.intake.serials import RandomSerials, SerialRange, SerialSource, has_digits
from api.intake.validation import ANY_GTIN, RequestLimits, shared_gtin
from api.intake.warnings import Warnings
from api.schemas.problems import Violation
from api.schemas.tasks import (
    DEFAULT_SERIAL_LENGTH,
    SERIAL_CHARACTERS,
    SERIALS_REQUEST_FIELDS,
    BulkRequest,
    Serials,
    SerialsRequest,
)
from render.errors import shown
from render.gs1.ai import MAX_LENGTH

#: A request whose serials are not decoded yet.
_Envelope: Any = msgspec.defstruct(
    "_Envelope",
    [("serials", msgspec.Raw), *(each for each in SERIALS_REQUEST_FIELDS if each[0] != "serials")],
    kw_only=True,
    forbid_unknown_fields=True,
)
_SPECIFICATION = re.compile(r"([^:]+):([0-9]{1,9})(?::([0-9]{1,20}))?")
#: Valid serials in place of invalid ones, whose violation is already recorded.
_PLACEHOLDER = SerialRange("1", 1, 1)


def read_serials_json(body: bytes, limits: RequestLimits, violations: Violations) -> ParsedRequest:
    """Parse a JSON request that has ``serials`` and no ``items``.

    Args:
        body: JSON of an object.
        limits: limits of the service.
        violations: receives a violation for each invalid value.

    Raises:
        ProblemError: 400 if an object has a member twice.
    """
    fields = decode_fields(body, _Envelope, "", violations)
    serials = fields.pop("serials", None)
    sent = {} if serials is None else decode_fields(serials, Serials, "/serials", violations)
    if "count" not in sent:
        source: SerialSource = _PLACEHOLDER
    else:
        source = _source(Serials(**sent), limits, violations)
    if "gtin" not in fields and has_gtin(body, otherwise=True):
        fields["gtin"] = ANY_GTIN  # its violation is already recorded
    return _parsed(fields, source, violations)


def read_serials_query(
    body: bytes, query: Mapping[str, str], limits: RequestLimits, violations: Violations
) -> ParsedRequest:
    """Parse a request of the CSV form that has ``serials`` in its query.

    Args:
        body: the body, which has to be empty.
        query: query parameters, among them ``serials``.
        limits: limits of the service.
        violations: receives a violation for each invalid value.
    """
    if body.strip():
        detail = (
            "The request has serials, and a body with items. Send serials with an empty body, or "
            "the items without serials."
        )
        violations.append(Violation("/serials", "contradiction", detail))
    serials = _specified(query["serials"], violations)
    source = _PLACEHOLDER if serials is None else _source(serials, limits, violations)
    others = {name: value for name, value in query.items() if name != "serials"}
    fields = convert_query(others, SerialsRequest, violations)
    extra = {
        name.removeprefix(EXTRA_PREFIX): value
        for name, value in query.items()
        if name.startswith(EXTRA_PREFIX)
    }
    parsed = _parsed(fields | {"extra": extra}, source, violations)
    (batch,) = parsed.batches
    for field in batch.present(DATE_FIELDS):
        batch = convert_dates(batch, field, violations)
    return parsed._replace(batches=iter([batch]))


def _specified(text: str, violations: Violations) -> Serials | None:
    """Return the serials of ``A0001:500:2`` or ``random:500:12``; None if it is malformed."""
    match = _SPECIFICATION.fullmatch(text)
    if match is None:
        detail = (
            f"{shown(text)} is not accepted. Send start:count or start:count:step, such as "
            "A0001:500, or random:count or random:count:length. A start with a colon can be sent "
            "as JSON."
        )
        violations.append(Violation("/serials", "serials_format", detail))
        return None
    third = int(match[3]) if match[3] else None
    if match[1] == "random":
        return Serials(random=True, count=int(match[2]), length=third)
    return Serials(start=match[1], count=int(match[2]), step=third)


def _source(serials: Serials, limits: RequestLimits, violations: Violations) -> SerialSource:
    """Return the serials, or a placeholder and a violation for each value that is invalid."""
    before = len(violations)
    found = [
        *_wrong_count(serials, limits),
        *(_wrong_random(serials) if serials.random else _wrong_range(serials)),
    ]
    violations.extend(found)
    if len(violations) > before:
        return _PLACEHOLDER
    if serials.random:
        return RandomSerials(serials.count, _length(serials))
    return SerialRange(serials.start or "", serials.count, _step(serials))


def _wrong_count(serials: Serials, limits: RequestLimits) -> list[Violation]:
    if 1 <= serials.count <= limits.max_items:
        return []
    detail = f"{serials.count} serials are not possible. Send a count of 1 to {limits.max_items}."
    return [Violation("/serials/count", "range", detail)]


def _wrong_random(serials: Serials) -> list[Violation]:
    detail = "Random serials have neither start nor step. Leave them out, or leave random out."
    found = [
        Violation(f"/serials/{name}", "contradiction", detail)
        for name in ("start", "step")
        if getattr(serials, name) is not None
    ]
    length = _length(serials)
    possible = RandomSerials(serials.count, length).possible if 1 <= length <= MAX_LENGTH else 0
    if not possible:
        detail = f"{length} is not a valid length. Send 1 to {MAX_LENGTH}."
        found.append(Violation("/serials/length", "range", detail))
    elif serials.count > possible:
        detail = (
            f"There are only {possible} serials with a length of {length}, from "
            f"{len(SERIAL_CHARACTERS)} characters. Send a larger length, or a smaller count."
        )
        found.append(Violation("/serials/length", "range", detail))
    return found


def _wrong_range(serials: Serials) -> list[Violation]:
    if serials.start is None:
        detail = "The serials have no start. Send a start such as A0001, or random true."
        return [Violation("/serials/start", "missing", detail)]
    found = []
    if serials.length is not None:
        detail = "A range has the length of its start. Leave length out, or send random true."
        found.append(Violation("/serials/length", "contradiction", detail))
    if _step(serials) < 1:
        detail = f"{serials.step} is not a valid step. Send 1 or more."
        found.append(Violation("/serials/step", "range", detail))
    if len(serials.start) > MAX_LENGTH:  # the rules of the item report it
        return found
    if not has_digits(serials.start):
        detail = f"{shown(serials.start)} has no digit to count up. Send a start such as A0001."
        found.append(Violation("/serials/start", "no_digits", detail))
    elif not found and SerialRange(serials.start, serials.count, _step(serials)).overflows:
        detail = (
            f"{serials.count} serials from {shown(serials.start)} on need more digits than it has. "
            "Send a start with more zeros, such as A00001 instead of A0001, or a smaller count."
        )
        found.append(Violation("/serials/start", "overflow", detail))
    return found


def _step(serials: Serials) -> int:
    return 1 if serials.step is None else serials.step


def _length(serials: Serials) -> int:
    return DEFAULT_SERIAL_LENGTH if serials.length is None else serials.length


def _parsed(fields: dict[str, Any], source: SerialSource, violations: Violations) -> ParsedRequest:
    """Return a request whose only batch has one item, with the first serial.

    Args:
        fields: the valid fields of a :class:`SerialsRequest`, without its serials.
        source: the serials.
        violations: violations found so far; further ones are appended.
    """
    if fields.get("gtin") is None:
        fields["gtin"] = shared_gtin(has_own=False, violations=violations)
    own = {name: value for name, value in fields.items() if name in ITEM_FIELDS and name != "gtin"}
    head = BulkRequest(
        items=[], **{name: value for name, value in fields.items() if name not in own}
    )
    extra = own.pop("extra", None)
    is_range = isinstance(source, SerialRange)
    values = dict.fromkeys(FIRST_FIELDS) | own | {"serial": source.first}
    columns = {
        field: Column.of([values[field]])
        for field in ITEM_FIELDS
        if field in FIRST_FIELDS or values.get(field) is not None
    }

    def locate(_: int, field: str | None) -> Location:
        if field is None or field == "serial":
            return Location("/serials/start" if field and is_range else "/serials")
        return Location(f"/{field}")

    batch = ItemBatch(columns, [0], (), locate, [extra] if extra else None)
    warnings = Warnings(violations, strict=head.strict)
    return ParsedRequest(head, source.count, iter([batch]), warnings, serials=source)
