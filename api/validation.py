"""The check of a bulk request: every bad value is found, or the request is returned.

A well-formed request is decoded and checked once. Only one that is not is looked through again,
value by value, so that the answer can point to each of them.
"""

import difflib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec

from api.problems import MAX_ERRORS, ProblemError, Violation
from api.schemas import MAX_SIZE, MIN_SIZE, BulkItem, BulkRequest
from pipeline.service import CallbackRules, Item, JobRequest, parse_callback_url
from render.ai import Charset, check_alphanumeric, check_expiry
from render.chunk import least_sizes
from render.errors import InvalidValueError, shown
from render.gtin import normalize_gtin
from render.image import QUIET_ZONE, RenderOptions, symbol_side
from render.link import digital_link_uri

#: A PNG of this many pixels a side holds any symbol, so that nothing need be looked at to know.
_ALWAYS_ENOUGH = symbol_side(40) + 2 * QUIET_ZONE
#: How many slashes the pointer of an item has; those of the request's own fields have fewer.
_ITEM_DEPTH = 2
#: Valid values that stand in for those that are missing or of the wrong type, which have been
#: noted already, so that the others can be checked all the same.
_STAND_INS = {"gtin": "00000000000000", "items": [BulkItem()]}

_decoder = msgspec.json.Decoder(BulkRequest)


class Rules(NamedTuple):
    """What a service allows: items a request, characters, what URIs begin with, callback URLs."""

    max_items: int
    charset: Charset
    link_base: str
    callbacks: CallbackRules = CallbackRules()


def parse_bulk(body: bytes, rules: Rules) -> JobRequest:
    """Return the checked request in ``body``.

    Raises:
        ProblemError: 400 when it is not JSON; 422 with every bad value when it is not valid.
    """
    violations: list[Violation] = []
    try:
        request = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        request = _repaired(decode_json(body), rules, violations)
    violations += _violations(request, rules)
    violations += _too_small(request, rules, {violation.pointer for violation in violations})
    if violations:
        raise invalid(violations)
    return _job_request(request, rules)


def decode_json(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    """Return what ``body`` says.

    Raises:
        ProblemError: 400, it is not JSON.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        detail = f"The body is not JSON: {error}."
    except RecursionError:
        detail = "The body is nested too deeply."
    raise ProblemError(HTTPStatus.BAD_REQUEST, "malformed_json", detail)


def invalid(violations: list[Violation]) -> ProblemError:
    """Return the 422 that lists ``violations``."""
    count = len(violations)
    noun = "value is" if count == 1 else "values are"
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_request",
        f"{count} {noun} not valid; nothing was accepted.",
        violations=violations,
    )


def well_typed(
    raw: Any,  # noqa: ANN401 - any JSON
    kind: type[msgspec.Struct],
    pointer: str,
    violations: list[Violation],
) -> dict[str, Any]:
    """Return the fields of ``raw`` that ``kind`` has and whose values are of its types.

    Args:
        raw: decoded JSON at ``pointer``.
        kind: what it should be.
        pointer: where it stands in the request.
        violations: what is wrong is appended.
    """
    if not isinstance(raw, dict):
        violations.append(Violation(pointer, "type", "This has to be a JSON object."))
        return {}
    known = {field.name: field for field in msgspec.structs.fields(kind)}
    violations.extend(_unknown(raw, tuple(known), pointer))
    good: dict[str, Any] = {}
    for name, field in known.items():
        if name not in raw:
            if field.required:
                where = f"{pointer}/{name}"
                violations.append(Violation(where, "missing", f"{name!r} is required."))
            continue
        try:
            good[name] = msgspec.convert(_integral(raw[name]), field.type)
        except msgspec.ValidationError as error:
            detail = f"{shown(raw[name])} does not fit: {error}."
            violations.append(Violation(f"{pointer}/{name}", "type", detail))
    return good


def _integral(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return a number without a fraction as an integer, which is what JSON Schema takes it for."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _repaired(raw: Any, rules: Rules, violations: list[Violation]) -> BulkRequest:  # noqa: ANN401 - any JSON
    """Return a request of what in ``raw`` has the right type, and stand-ins for the rest."""
    items = raw.get("items") if isinstance(raw, dict) else None
    if not isinstance(items, list):
        return BulkRequest(**_STAND_INS | well_typed(raw, BulkRequest, "", violations))
    rest = well_typed({**raw, "items": []}, BulkRequest, "", violations)
    if len(items) > rules.max_items:  # which is told, and none of them is looked at
        return BulkRequest(**_STAND_INS | rest | {"items": [BulkItem()] * len(items)})
    typed = [
        BulkItem(**well_typed(item, BulkItem, f"/items/{index}", violations))
        for index, item in enumerate(items)
    ]
    return BulkRequest(**_STAND_INS | rest | {"items": typed})


def _unknown(raw: dict[str, Any], known: tuple[str, ...], pointer: str) -> Iterator[Violation]:
    unknown = [name for name in raw if name not in known]
    for place, name in enumerate(unknown):
        # Looking for the nearest name takes its time, and only so many are listed.
        near = difflib.get_close_matches(name, known, 1) if place < MAX_ERRORS else []
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
        where = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
        yield Violation(where, "unknown_field", f"There is no field {shown(name)}; {hint}")


def _violations(request: BulkRequest, rules: Rules) -> Iterator[Violation]:
    yield from _broken_rule(normalize_gtin, request.gtin, "/gtin")
    if not MIN_SIZE <= request.size <= MAX_SIZE:
        detail = f"{shown(request.size)} is not a size; {MIN_SIZE} to {MAX_SIZE} pixels are."
        yield Violation("/size", "range", detail)
    if not 1 <= len(request.items) <= rules.max_items:
        detail = f"There are {len(request.items)} items; a request has 1 to {rules.max_items}."
        yield Violation("/items", "range", detail)

    if request.callback_url is not None:

        def check_url(value: str) -> None:
            parse_callback_url(value, rules.callbacks)

        yield from _broken_rule(check_url, request.callback_url, "/callback_url")

    def check_text(value: str) -> None:
        check_alphanumeric(value, rules.charset)

    for index, item in enumerate(request.items):
        if item.lot is not None:
            yield from _broken_rule(check_text, item.lot, f"/items/{index}/lot")
        if item.serial is not None:
            yield from _broken_rule(check_text, item.serial, f"/items/{index}/serial")
        if item.expiry is not None:
            yield from _broken_rule(check_expiry, item.expiry, f"/items/{index}/expiry")


def _broken_rule(rule: Callable[[str], object], value: str, pointer: str) -> Iterator[Violation]:
    try:
        rule(value)
    except InvalidValueError as error:
        yield Violation(pointer, error.code, error.detail)


def _job_request(request: BulkRequest, rules: Rules) -> JobRequest:
    return JobRequest(
        gtin=normalize_gtin(request.gtin),
        items=[Item(item.lot, item.serial, item.expiry) for item in request.items],
        format=request.format,
        size=request.size,
        error_correction=request.error_correction,
        link_base=rules.link_base,
        callback_url=request.callback_url or "",
    )


def _too_small(request: BulkRequest, rules: Rules, wrong: set[str]) -> Iterator[Violation]:
    """Yield a violation for each item whose symbol does not get one pixel a module.

    Args:
        request: with the right types.
        rules: what URIs begin with.
        wrong: pointers of what was found wrong before; what depends on that is not looked at.
    """
    enough = request.format != "png" or request.size >= _ALWAYS_ENOUGH
    if enough or any(pointer.count("/") < _ITEM_DEPTH for pointer in wrong):
        return
    wrong_items = {pointer.split("/")[_ITEM_DEPTH] for pointer in wrong}
    good = [place for place in range(len(request.items)) if str(place) not in wrong_items]
    gtin14 = normalize_gtin(request.gtin)
    items = (request.items[place] for place in good)
    uris = [
        digital_link_uri(rules.link_base, gtin14, item.lot, item.serial, item.expiry)
        for item in items
    ]
    options = RenderOptions(request.format, request.size, request.error_correction)
    for place, least in zip(good, least_sizes(uris, options), strict=True):
        if least > request.size:
            detail = (
                f"This item's symbol needs a size of at least {least} pixels, one a module; "
                f"the request says {request.size}."
            )
            yield Violation(f"/items/{place}", "size_too_small", detail)
