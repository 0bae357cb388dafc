"""Task ids and cursors in URLs: parsing and formatting."""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode

from api.http.problems import Violations, one_bad_value
from api.http.redaction import may_be_api_key
from api.schemas.problems import Violation
from pipeline.service import Position, parse_task_id
from render.errors import shown

_POSITION = re.compile(r"(\d{1,15})\.([0-9a-f-]{36})")
_A_TASK_ID = "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"


def canonical_task_id(task_id: str) -> str:
    """Return a task id in its canonical form.

    Raises:
        ProblemError: 422 if ``task_id`` is not a task id.
    """
    try:
        return parse_task_id(task_id)
    except ValueError:
        sent = "The text in the path" if may_be_api_key(task_id) else shown(task_id)
        detail = (
            f"{sent} is not a task id. Send the task_id of an accepted request, a UUID "
            f"such as {_A_TASK_ID}."
        )
        raise one_bad_value("/task_id", "malformed_task_id", detail) from None


def encode_cursor(position: Position) -> str:
    """Encode a position in a list as the cursor that clients get."""
    return urlsafe_b64encode(f"{position.created_at}.{position.task_id}".encode()).decode()


def decode_cursor(cursor: str, violations: Violations) -> Position | None:
    """Decode a cursor.

    Returns None and appends to ``violations`` if ``cursor`` is malformed.
    """
    try:
        match = _POSITION.fullmatch(urlsafe_b64decode(cursor.encode()).decode())
    except (binascii.Error, UnicodeError):
        match = None
    if match is None:
        detail = (
            f"{shown(cursor)} is not a cursor. Send the next_cursor of the previous page, or leave "
            "the parameter out for the first page."
        )
        violations.append(Violation("/cursor", "cursor", detail))
        return None
    return Position(int(match[1]), match[2])
