"""Detection of members that a JSON object has more than once.

JSON decoders keep one of two members with the same name, usually the last one, so that a list of
items could vanish without an error (RFC 8259, section 4).

Outside of strings, JSON has exactly one colon per member. The colons of an object are therefore one
per member, those inside of its values, and those in names. If the decoded members and their values
account for all colons, the decoder dropped no member. Otherwise the names are compared, which takes
longer.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from itertools import accumulate
from typing import Any

import msgspec

from api.http.problems import ProblemError, Violations, malformed_json
from api.schemas.problems import Violation
from render.errors import shown


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


def _account_for_all(data: bytes, members: int, inside: Iterable[int]) -> bool:
    """Return whether all colons of ``data`` belong to members and to values.

    Args:
        data: JSON.
        members: number of decoded members.
        inside: numbers of colons of ``data`` inside of the decoded values.
    """
    rest = data.count(b":") - members
    return any(rest == found for found in accumulate(inside, initial=0))


def check_distinct(
    data: bytes | msgspec.Raw, members: Mapping[str, msgspec.Raw], pointer: str
) -> None:
    """Check that no two members of a JSON object have the same name.

    Args:
        data: JSON of the object.
        members: the decoded members; only one of those that share a name.
        pointer: JSON Pointer of the object in the request.

    Raises:
        ProblemError: 400 if two members have the same name.
    """
    whole = bytes(data)
    if _account_for_all(whole, len(members), (bytes(raw).count(b":") for raw in members.values())):
        return
    name = repeated_member(whole)
    if name is not None:
        raise _repeated(name, pointer)


def repeated_member(data: bytes) -> str | None:
    """Return the first name that a JSON object has twice, or None; nested objects are ignored.

    Raises:
        ProblemError: 400 if a value is nested too deeply.
    """
    names: list[str] = []

    def keep_names(pairs: list[tuple[str, Any]]) -> None:
        # The hook is called for the outermost object last.
        names[:] = [name for name, _ in pairs]

    # Numbers are not converted: Python limits the digits of an integer, and JSON does not.
    ignore: Callable[[str], None] = lambda _: None  # noqa: E731
    try:
        json.loads(data, object_pairs_hook=keep_names, parse_int=ignore, parse_float=ignore)
    except (RecursionError, ValueError) as error:
        raise malformed_json(error) from None
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _repeated(name: str, pointer: str) -> ProblemError:
    where = f"The object at {pointer}" if pointer else "The JSON object in the body"
    detail = f"{where} has the member {shown(name)} more than once. Send it once."
    violations = Violations()
    escaped = name.replace("~", "~0").replace("/", "~1")
    violations.append(Violation(f"{pointer}/{escaped}", "duplicate_member", detail))
    return ProblemError(HTTPStatus.BAD_REQUEST, "malformed_json", detail, violations=violations)
