"""Decoding of JSON into types, with a violation for each field of the wrong type.

Only the fields of the expected type are decoded, so that the memory and time for a hostile body
grow only with the size of the body.
"""

import difflib
import json
import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from api.http.json_members import NOT_DECODED, distinct_names, has_others
from api.http.problems import Violations, malformed_json, member_pointer
from api.schemas.problems import Violation
from render.errors import MOST_SHOWN, shown, truncated

#: Maximum size in bytes of an invalid value that a message shows decoded. Of a larger value, the
#: message shows the beginning of the JSON.
_MOST_DECODED = 200
#: Maximum size in bytes of a value that is not an array. The longest valid one is a callback URL of
#: 2000 characters with every character escaped. Decoding a longer one, which takes up to four times
#: its size, would only serve to reject it.
_LONGEST = 16 * 1024
#: The same for an object of strings: the extra values of an item, with every character escaped.
_LONGEST_OBJECT = 32 * 1024

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

_whole = msgspec.json.Decoder(msgspec.Raw)
_any = msgspec.json.Decoder()


class _Field(NamedTuple):
    """Decoder of a field, the description of its type, and the size of its largest value."""

    decoder: msgspec.json.Decoder[Any]
    expected: str
    longest: float


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
    members = _members(data, kind)
    if members is None:
        names = ", ".join(kind.__struct_fields__)
        detail = (
            f"{_shown_json(data)} is not a JSON object. Send an object with the fields {names}."
        )
        violations.append(Violation(pointer, "type", detail))
        return {}
    known, whole = _fields(kind), bytes(data)
    if has_others(whole, members.values(), len(members)):
        found = distinct_names(whole, pointer)
        violations.extend(unknown_names(found, known, pointer, violations))
    fields = {}
    for name, value in members.items():
        try:
            fields[name] = _decode(known[name], value)
        except msgspec.ValidationError as error:
            code = "length" if isinstance(error, _TooLongError) else "type"
            detail = f"{_shown_json(value)} is not accepted. {_wanted(known[name], code)}"
            violations.append(Violation(f"{pointer}/{name}", code, detail))
            continue
        if known[name].longest == _LONGEST_OBJECT:  # its members are decoded, too
            deque(distinct_names(bytes(value), f"{pointer}/{name}"), maxlen=0)
    violations.extend(missing_names(kind, members, pointer))
    return fields


def _wanted(field: _Field, code: str) -> str:
    """Return the sentences that say which values a field accepts."""
    reason = "It is longer than any valid value. " if code == "length" else ""
    return f"{reason}The value must be {field.expected}."


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
            expected = _fields(kind)[field.name].expected
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
            detail = no_such_name(name, known, what, hint=not violations.full)
            code = f"unknown_{what.rpartition(' ')[2]}"
            yield Violation(member_pointer(pointer, name), code, detail)


def no_such_name(name: str, known: Collection[str], what: str, *, hint: bool) -> str:
    """Return the message about an unknown name.

    Args:
        name: the unknown name.
        known: names that are accepted.
        what: noun for the kind of name, such as "field".
        hint: whether to search ``known`` for a similar name. A long name gets no hint.
    """
    hint = hint and len(name) <= MOST_SHOWN
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
def _fields(kind: type[msgspec.Struct]) -> dict[str, _Field]:
    """Return the fields of a type by name."""

    def field(found: msgspec.structs.FieldInfo) -> _Field:
        kind = msgspec.inspect.type_info(found.type)
        if isinstance(kind, msgspec.inspect.Metadata):
            kind = kind.type
        longest = math.inf if isinstance(kind, msgspec.inspect.ListType) else _LONGEST
        if msgspec.inspect.DictType in map(type, getattr(kind, "types", (kind,))):
            longest = _LONGEST_OBJECT
        return _Field(msgspec.json.Decoder(found.type), describe_type(found.type), longest)

    return {found.name: field(found) for found in msgspec.structs.fields(kind)}


@cache
def _raw_decoder(kind: type[msgspec.Struct]) -> msgspec.json.Decoder[Any]:
    """Return a decoder of the fields of a type that leaves their values undecoded.

    Other members are skipped, so that they need no memory.
    """
    raw: Any = msgspec.Raw | UnsetType
    fields = [(name, raw, UNSET) for name in kind.__struct_fields__]
    return msgspec.json.Decoder(msgspec.defstruct(f"Raw{kind.__name__}", fields))


def _members(
    data: bytes | msgspec.Raw, kind: type[msgspec.Struct]
) -> dict[str, msgspec.Raw] | None:
    """Return the members of a JSON object that are fields of ``kind``, undecoded.

    Returns None if ``data`` is other JSON than an object.

    Raises:
        ProblemError: 400 if ``data`` is not JSON.
    """
    try:
        try:
            found = _raw_decoder(kind).decode(data)
        except msgspec.ValidationError:
            _whole.decode(data)
            return None
    except NOT_DECODED as error:
        if json.detect_encoding(bytes(data)).startswith(("utf-16", "utf-32")):
            raise malformed_json("it is UTF-16 or UTF-32") from None
        raise malformed_json(error) from None
    values = {name: getattr(found, name) for name in kind.__struct_fields__}
    return {name: value for name, value in values.items() if value is not UNSET}


class _TooLongError(msgspec.ValidationError):
    """Raised for a string that is longer than every valid value of its field."""


def _decode(field: _Field, value: msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON
    """Decode a value; a number without a fraction counts as an integer, as in JSON Schema."""
    if len(value) > field.longest:
        is_text = memoryview(value)[0] == ord('"') and field.expected.startswith("a string")
        raise _TooLongError if is_text else msgspec.ValidationError
    try:
        return field.decoder.decode(value)
    except msgspec.ValidationError:
        number = _short(value)
        if not (isinstance(number, float) and number.is_integer()):
            raise
    except NOT_DECODED as error:
        raise malformed_json(error) from None
    return field.decoder.decode(str(int(number)))


def _shown_json(value: bytes | msgspec.Raw) -> str:
    """Return an invalid value as text for a message: a string in quotes, other values as JSON."""
    found = _short(value)
    if isinstance(found, str):
        return shown(found)
    return truncated(msgspec.json.encode(found).decode())


def _short(value: bytes | msgspec.Raw) -> Any:  # noqa: ANN401 - any JSON
    """Decode a value if it is short enough for a message; else return the start of its JSON."""
    if len(value) > _MOST_DECODED:
        return bytes(memoryview(value)[:_MOST_DECODED]).decode("utf-8", "replace")
    try:
        return _any.decode(value)
    except NOT_DECODED as error:
        raise malformed_json(error) from None
