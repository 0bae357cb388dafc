"""Detection of members that a JSON object has more than once.

JSON decoders keep one of two members with the same name, usually the last one, so that a list of
items could vanish without an error (RFC 8259, section 4).
"""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from api.http.problems import ProblemError, Violations, malformed_json
from api.schemas.problems import Violation
from render.errors import shown


def check_distinct(
    data: bytes | msgspec.Raw, members: Mapping[str, msgspec.Raw], pointer: str
) -> None:
    """Check that no two members of a JSON object have the same name.

    Outside of strings, JSON has exactly one colon per member. The number of colons outside of the
    decoded values is therefore the number of members, plus the colons in names. If this number
    equals the number of decoded members, the decoder dropped no member. Otherwise the names are
    compared, which takes longer.

    Args:
        data: JSON of the object.
        members: the decoded members; only one of those that share a name.
        pointer: JSON Pointer of the object in the request.

    Raises:
        ProblemError: 400 if two members have the same name.
    """
    whole = bytes(data)
    inside = sum(bytes(value).count(b":") for value in members.values())
    if whole.count(b":") - inside == len(members):
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
