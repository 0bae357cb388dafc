"""Decoding of JSON into types, with a violation for each field of the wrong type.

Only the fields of the expected type are decoded, so that the memory and time for a hostile body
grow only with the size of the body.
"""

import difflib
import json
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Any

import msgspec

from api.http.json_members import check_distinct
from api.http.problems import Violations, malformed_json
from api.schemas.problems import Violation
from render.errors import shown

#: Exceptions of msgspec for data that is not JSON, or not of the expected type.
NOT_DECODED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
#: Maximum size in bytes of an invalid value that a message shows decoded. Of a larger value, the
#: message shows the beginning of the JSON.
_MOST_SHOWN = 200

#: Type descriptions that are too vague without an example.
_VAGUE = ("a string", "an integer", "a number")
#: Descriptions of types without constraints.
_TYPE_NAMES: dict[type[msgspec.inspect.Type], str] = {
    msgspec.inspect.StrType: "a string",
    msgspec.inspect.IntType: "an integer",
    msgspec.inspect.FloatType: "a number",
    msgspec.inspect.BoolType: "true or false",
    msgspec.inspect.NoneType: "null",
    msgspec.inspect.ListType: "an array",
    msgspec.inspect.DictType: "an object",
    msgspec.inspect.StructType: "an object",
}

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_whole = msgspec.json.Decoder(msgspec.Raw)
_any = msgspec.json.Decoder()


def decode_fields(
    data: bytes | msgspec.Raw, kind: type[msgspec.Struct], pointer: str, violations: Violations
) -> dict[str, Any]:
    """Decode the members of a JSON object that are fields of ``kind``; leave invalid ones out.

    Args:
        data: JSON.
        kind: type that the object should have.
        pointer: JSON Pointer of the object in the request.
        violations: receives a violation for each member that is unknown, missing or of the wrong
            type.

    Raises:
        ProblemError: 400 if ``data`` is not JSON, or if the object has a member twice.
    """
    members = _object(data)
    if members is None:
        names = ", ".join(kind.__struct_fields__)
        detail = (
            f"{_shown_json(data)} is not a JSON object. Send an object with the fields {names}."
        )
        violations.append(Violation(pointer, "type", detail))
        return {}
    check_distinct(data, members, pointer)
    decoders = _decoders(kind)
    violations.extend(unknown_names(members, decoders, pointer, violations))
    fields = {}
    for name, decoder in decoders.items():
        if name in members:
            try:
                fields[name] = _decode(decoder, members[name])
            except msgspec.ValidationError:
                value, expected = _shown_json(members[name]), _descriptions(kind)[name]
                detail = f"{value} is not accepted. The value must be {expected}."
                violations.append(Violation(f"{pointer}/{name}", "type", detail))
    violations.extend(missing_names(kind, members, pointer))
    return fields


def missing_names(
    kind: type[msgspec.Struct], names: Collection[str], pointer: str
) -> Iterator[Violation]:
    """Yield a violation for each required field of ``kind`` that is not among ``names``.

    Args:
        kind: type with the fields.
        names: fields that the request has.
        pointer: JSON Pointer of the object that should have the fields.
    """
    for field in msgspec.structs.fields(kind):
        if field.required and field.name not in names:
            expected = _descriptions(kind)[field.name]
            detail = f"The required field {field.name!r} is missing. Its value must be {expected}."
            yield Violation(f"{pointer}/{field.name}", "missing", detail)


def unknown_names(
    names: Iterable[str],
    known: Collection[str],
    pointer: str,
    violations: Violations,
    what: str = "field",
) -> Iterator[Violation]:
    """Yield a violation for each of ``names`` that is unknown.

    Args:
        names: names in the request.
        known: names that are accepted.
        pointer: JSON Pointer of the object that has the names.
        violations: list to which the caller adds the violations. When this list is full, unknown
            names are only counted, because the search for a similar name is slow.
        what: noun for the kind of name, such as "field".
    """
    for name in names:
        if name not in known and violations.full:
            violations.count(1)
        elif name not in known:
            where = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"
            detail = no_such_name(name, known, what, hint=not violations.full)
            yield Violation(where, f"unknown_{what.rpartition(' ')[2]}", detail)


def no_such_name(name: str, known: Collection[str], what: str, *, hint: bool) -> str:
    """Return the message about an unknown name.

    Args:
        name: the unknown name.
        known: names that are accepted.
        what: noun for the kind of name, such as "field".
        hint: whether to search ``known`` for a similar name.
    """
    near = difflib.get_close_matches(name, known, 1) if hint else []
    rest = f"Did you mean {near[0]!r}?" if near else f"The {what}s are {', '.join(known)}."
    return f"There is no {what} {shown(name)}. {rest if known else f'Send no {what}s.'}"


def describe_type(kind: Any) -> str:  # noqa: ANN401 - any type annotation
    """Return what a value of type ``kind`` must be, such as "a string or null"."""
    found, example = msgspec.inspect.type_info(kind), ""
    if isinstance(found, msgspec.inspect.Metadata):
        examples = (found.extra_json_schema or {}).get("examples")
        example = f" such as {shown(examples[0])}" if examples else ""
        found = found.type
    types = found.types if isinstance(found, msgspec.inspect.UnionType) else (found,)
    first, *others = map(_describe_one, types)
    return " or ".join([first + example if first in _VAGUE else first, *others])


def _describe_one(kind: msgspec.inspect.Type) -> str:
    match kind:
        case msgspec.inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case msgspec.inspect.StrType(min_length=int(least), max_length=int(most)):
            return f"a string of {least} to {most} characters"
        case msgspec.inspect.IntType(ge=int(least), le=int(most)):
            return f"an integer from {least} to {most}"
        case _:
            return _TYPE_NAMES.get(type(kind), "of another type")


@cache
def _descriptions(kind: type[msgspec.Struct]) -> dict[str, str]:
    return {field.name: describe_type(field.type) for field in msgspec.structs.fields(kind)}


def _object(data: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    """Return the members of a JSON object, undecoded; None if ``data`` is other JSON.

    Raises:
        ProblemError: 400 if ``data`` is not JSON.
    """
    try:
        try:
            return _members.decode(data)
        except msgspec.ValidationError:
            _whole.decode(data)
            return None
    except NOT_DECODED as error:
        if json.detect_encoding(bytes(data)).startswith(("utf-16", "utf-32")):
            raise malformed_json("it is UTF-16 or UTF-32") from None
        raise malformed_json(error) from None


@cache
def _decoders(kind: type[msgspec.Struct]) -> dict[str, msgspec.json.Decoder[Any]]:
    return {field.name: msgspec.json.Decoder(field.type) for field in msgspec.structs.fields(kind)}


def _decode(decoder: msgspec.json.Decoder[Any], value: msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON
    """Decode a value; a number without a fraction counts as an integer, as in JSON Schema."""
    try:
        return decoder.decode(value)
    except msgspec.ValidationError:
        number = _short(value)
        if not (isinstance(number, float) and number.is_integer()):
            raise
    except NOT_DECODED as error:
        raise malformed_json(error) from None
    return decoder.decode(str(int(number)))


def _shown_json(value: bytes | msgspec.Raw) -> str:
    """Return an invalid value as text for a message: a string in quotes, other values as JSON."""
    found = _short(value)
    return shown(found) if isinstance(found, str) else msgspec.json.encode(found).decode()


def _short(value: bytes | msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON
    """Decode a value if it is short enough for a message; else return the start of its JSON."""
    if len(value) > _MOST_SHOWN:
        return bytes(value)[:_MOST_SHOWN].decode("utf-8", "replace")
    try:
        return _any.decode(value)
    except NOT_DECODED as error:
        raise malformed_json(error) from None
