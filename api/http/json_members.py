"""Names of the members of a JSON object, and detection of members that it has more than once.

JSON decoders keep one of two members with the same name, usually the last one, so that a list of
items could vanish without an error (RFC 8259, section 4).

Outside of strings, JSON has exactly one colon per member. The colons of an object are therefore one
per member, those inside of its values, and those in names. If the decoded members and their values
account for all colons, the decoder dropped no member. Otherwise the names are read one by one,
which takes longer.
"""

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import accumulate

import msgspec

from api.http.problems import ProblemError, Violations, malformed_json, member_pointer
from api.schemas.problems import Violation
from render.errors import shown

#: Exceptions of msgspec for data that is not JSON, or not of the expected type.
NOT_DECODED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_strings = re.compile(_STRING, re.DOTALL)
#: What begins or ends a value inside of valid JSON, and strings, with the colon after a name.
_tokens = re.compile(rb"[\[{]|[\]}]|(" + _STRING + rb")\s*+(:?)", re.DOTALL)
#: What separates values outside of strings, and strings.
_separators = re.compile(rb"[\[{\]},]|" + _STRING, re.DOTALL)
#: Maximum size in bytes of a name that is decoded. No field has a longer one, even if escaped,
#: and decoding could take four times the size.
_MOST_DECODED = 1000

_text = msgspec.json.Decoder(str)


def is_complete(data: bytes, members: int, texts: Iterable[str]) -> bool:
    """Return whether the number of colons proves that a decoder dropped no member.

    Returns False if an escape may hide a colon.

    Args:
        data: JSON.
        members: number of decoded members, in all decoded objects.
        texts: the decoded strings, or concatenations of them; read only as far as needed.
    """
    inside = (text.count(":") for text in texts)
    return _account_for_all(data, members, () if b"\\" in data else inside)


def has_others(data: bytes, values: Iterable[msgspec.Raw], members: int) -> bool:
    """Return whether a JSON object has other members than those that were decoded, or one twice.

    Args:
        data: JSON of the object.
        values: the undecoded values of the decoded members.
        members: number of decoded members.
    """
    return not _account_for_all(data, members, (bytes(raw).count(b":") for raw in values))


def _account_for_all(data: bytes, members: int, inside: Iterable[int]) -> bool:
    """Return whether all colons of ``data`` belong to members and to values.

    Args:
        data: JSON.
        members: number of decoded members.
        inside: numbers of colons of ``data`` inside of the decoded values.
    """
    rest = data.count(b":") - members
    return any(rest == found for found in accumulate(inside, initial=0))


def commas_outside_strings(data: bytes) -> int:
    """Return the number of commas of JSON that separate two values or two members."""
    inside = (data.count(b",", *found.span()) for found in _strings.finditer(data))
    return data.count(b",") - sum(inside)


def count_elements(data: bytes, depth: int) -> int:
    """Return the number of elements of the arrays and objects at a depth, 1 for the whole value.

    Empty arrays and objects count as one element. The memory needed does not depend on the data.
    """
    count, at = 1, 0
    for token in _separators.finditer(data):
        match token[0]:
            case b"[" | b"{":
                at += 1
            case b"]" | b"}":
                at -= 1
            case b",":
                count += at == depth
    return count


def distinct_names(data: bytes, pointer: str) -> Iterator[str]:
    """Yield the names of the members of a JSON object, of a very long one only the beginning.

    The memory needed does not depend on the lengths of the names.

    Args:
        data: valid JSON of the object.
        pointer: JSON Pointer of the object in the request.

    Raises:
        ProblemError: 400 if two members have the same name, or a name is not valid.
    """
    depth, seen = 0, set[int]()
    for token in _tokens.finditer(data):
        if token[2] is None:
            depth += 1 if token[0] in b"[{" else -1
        elif depth == 1 and token[2]:
            name, identity = _name(data, *token.span(1))
            if identity in seen:
                raise _repeated(name, pointer)
            seen.add(identity)
            yield name


def _name(data: bytes, start: int, end: int) -> tuple[str, int]:
    """Return a name, and a number by which it is recognized.

    Args:
        data: JSON.
        start: position of the opening quote.
        end: position after the closing quote.
    """
    encoded = memoryview(data)[start:end]
    if len(encoded) > _MOST_DECODED:
        return bytes(encoded[1:_MOST_DECODED]).decode("utf-8", "replace"), hash(encoded)
    try:
        name = _text.decode(encoded)
    except NOT_DECODED as error:
        raise malformed_json(error) from None
    return name, hash(name)


def _repeated(name: str, pointer: str) -> ProblemError:
    where = f"The object at {pointer}" if pointer else "The JSON object in the body"
    detail = f"{where} has the member {shown(name)} more than once. Send it once."
    violations = Violations()
    violations.append(Violation(member_pointer(pointer, name), "duplicate_member", detail))
    return ProblemError(HTTPStatus.BAD_REQUEST, "malformed_json", detail, violations=violations)
