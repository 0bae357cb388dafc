"""Decoding of JSON into types, with a violation for each field that does not fit.

Nothing is decoded further than its type asks, so that a hostile body costs little more than its
own size.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Any

import msgspec

from api.http.problems import Violations, malformed_json
from api.schemas.problems import Violation
from render.errors import shown

#: What decoding raises about a body that is not JSON, or not of its type.
NOT_DECODED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
#: Bytes of a wrong value up to which it is decoded to be shown; a longer one is shown as JSON.
_MOST_SHOWN = 200

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_whole = msgspec.json.Decoder(msgspec.Raw)
_any = msgspec.json.Decoder()


def decode_fields(
    data: bytes | msgspec.Raw, kind: type[msgspec.Struct], pointer: str, violations: Violations
) -> dict[str, Any]:
    """Return the fields of a JSON object that ``kind`` has and whose values are of its types.

    Args:
        data: JSON.
        kind: what it should be.
        pointer: where it stands in the request.
        violations: what is wrong is appended.

    Raises:
        ProblemError: 400, it is not JSON.
    """
    members = _object(data)
    if members is None:
        violations.append(Violation(pointer, "type", "This has to be a JSON object."))
        return {}
    decoders = _decoders(kind)
    violations.extend(unknown_names(members, decoders, pointer, violations))
    fields = {}
    for name, decoder in decoders.items():
        if name in members:
            try:
                fields[name] = _decode(decoder, members[name])
            except msgspec.ValidationError as error:
                detail = f"{shown(_short(members[name]))} does not fit: {error}."
                violations.append(Violation(f"{pointer}/{name}", "type", detail))
    violations.extend(missing_names(kind, members, pointer))
    return fields


def missing_names(
    kind: type[msgspec.Struct], names: Collection[str], pointer: str
) -> Iterator[Violation]:
    """Yield a violation for each required field of ``kind`` that is not among ``names``."""
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in names:
            detail = f"{field.name!r} is required."
            yield Violation(f"{pointer}/{field.name}", "missing", detail)


def unknown_names(
    names: Iterable[str],
    known: Collection[str],
    pointer: str,
    violations: Violations,
    what: str = "field",
) -> Iterator[Violation]:
    """Yield a violation for each of ``names`` that is not known.

    Args:
        names: as they came.
        known: what there is.
        pointer: where they stand in the request.
        violations: where they go; one that will not be listed gets no hint, which takes its time.
        what: they are names of.
    """
    for name in names:
        if name not in known and violations.full:
            violations.count_one()
        elif name not in known:
            where = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            detail = no_such_name(name, known, what, hint=not violations.full)
            yield Violation(where, f"unknown_{what.rpartition(' ')[2]}", detail)


def no_such_name(name: str, known: Collection[str], what: str, *, hint: bool) -> str:
    """Return a sentence that says which names there are, with a ``hint`` at the nearest one."""
    near = difflib.get_close_matches(name, known, 1) if hint else []
    rest = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
    return f"There is no {what} {shown(name)}; {rest if known else 'there are none.'}"


def _object(data: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    """Return the members of a JSON object, undecoded; None when it is other JSON.

    Raises:
        ProblemError: 400, it is not JSON.
    """
    try:
        try:
            return _members.decode(data)
        except msgspec.ValidationError:
            _whole.decode(data)
            return None
    except NOT_DECODED as error:
        raise malformed_json(error) from None


@cache
def _decoders(kind: type[msgspec.Struct]) -> dict[str, msgspec.json.Decoder[Any]]:
    return {field.name: msgspec.json.Decoder(field.type) for field in msgspec.structs.fields(kind)}


def _decode(decoder: msgspec.json.Decoder[Any], value: msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON
    """Return a value; a number without a fraction is an integer, as JSON Schema takes it."""
    try:
        return decoder.decode(value)
    except msgspec.ValidationError:
        number = _short(value)
        if not (isinstance(number, float) and number.is_integer()):
            raise
    except NOT_DECODED as error:
        raise malformed_json(error) from None
    return decoder.decode(str(int(number)))


def _short(value: msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON
    """Return a value, decoded when it is short enough to be shown; else the start of its JSON."""
    if len(value) > _MOST_SHOWN:
        return bytes(value)[:_MOST_SHOWN].decode("utf-8", "replace")
    try:
        return _any.decode(value)
    except NOT_DECODED as error:
        raise malformed_json(error) from None
