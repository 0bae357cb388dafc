"""The body of an error response: problem details, and the envelope of the base contract."""

from datetime import UTC, datetime
from http import HTTPStatus

import msgspec
import pytest

from api.http.problems import (
    KEY_IN_USE,
    ProblemError,
    Violations,
    field_path,
    invalid,
    one_bad_value,
    problem_body,
)
from api.schemas.problems import MAX_ERRORS, Problem, Violation

NOW = datetime(2026, 11, 23, 8, 0, 1, 20_000, UTC)


def body(error: ProblemError) -> Problem:
    return problem_body(error, "an id", NOW)


@pytest.mark.parametrize("status", [each for each in HTTPStatus if each >= 400])
def test_the_code_of_the_envelope_depends_on_the_status_alone(status: HTTPStatus) -> None:
    codes = {
        401: "UNAUTHORIZED",
        403: "FORBIDDEN",
        404: "NOT_FOUND",
        409: "CONFLICT",
        422: "VALIDATION_ERROR",
        429: "RATE_LIMITED",
    }
    problem = body(ProblemError(status, "some_code", "Some words."))
    other = "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"
    assert msgspec.to_builtins(problem.error) == {
        "code": codes.get(status, other),
        "message": "Some words.",
        "status": status.value,
        "details": None,
    }
    assert problem.retryable == (status in {429, 503})
    assert problem.timestamp == "2026-11-23T08:00:01.020+00:00"


def test_of_the_conflicts_only_a_key_in_use_can_be_sent_again() -> None:
    for code, expected in ((KEY_IN_USE, True), ("not_possible", False)):
        assert body(ProblemError(HTTPStatus.CONFLICT, code, "")).retryable is expected


@pytest.mark.parametrize(
    ("pointer", "field"),
    [
        ("/items/17/serial", "items.17.serial"),
        ("/gtin", "gtin"),
        ("", ""),  # the request as a whole
        ("/items/0", "items.0"),
        ("/dry_run", "dry_run"),  # a query parameter
        ("/items/0/a~1b", "items.0.a/b"),
        ("/a~0b", "a~b"),
        ("/a~01b", "a~1b"),  # RFC 6901, section 4
        ("/items/0/extra/x.y", "items.0.extra.x.y"),
        ("/", ""),  # a member without a name
        ("//a", ".a"),
        ("/größe", "größe"),
    ],
)
def test_a_field_is_the_pointer_with_dots(pointer: str, field: str) -> None:
    assert field_path(pointer) == field
    problem = body(one_bad_value(pointer, "type", "No."))
    assert problem.error.details is not None
    assert msgspec.to_builtins(problem.error.details) == [{"field": field, "message": "No."}]


def test_details_are_the_listed_errors_in_their_order_for_any_status() -> None:
    violations = Violations()
    for number in range(MAX_ERRORS + 20):
        violations.append(Violation(f"/items/{number}/lot", "charset", f"No. {number}"))
    malformed = ProblemError(HTTPStatus.BAD_REQUEST, "x", "y", violations=violations)
    for error in (invalid(violations), malformed):
        problem = body(error)
        assert problem.errors is not None
        assert problem.errors_total == MAX_ERRORS + 20
        assert [(row.field, row.message) for row in problem.error.details or ()] == [
            (row.pointer[1:].replace("/", "."), row.detail) for row in problem.errors
        ]
        assert len(problem.errors) == MAX_ERRORS


def test_a_body_always_has_the_members_that_clients_read() -> None:
    encoded = msgspec.json.decode(msgspec.json.encode(body(ProblemError(HTTPStatus.GONE, "x", ""))))
    assert [*encoded] == [
        *("type", "title", "status", "detail", "instance", "error_code"),
        *("retryable", "timestamp", "error"),
    ]
    assert encoded["error"]["details"] is None
