"""Errors as RFC 9457 problem details, with the error envelope of the base contract."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Generic, NoReturn, TypeVar

from api.schemas.problems import (
    MAX_ERRORS,
    EnvelopeCode,
    ErrorDetail,
    ErrorEnvelope,
    Problem,
    Violation,
)

MEDIA_TYPE = "application/problem+json"
#: The 409 of a request whose Idempotency-Key is being used by another request.
KEY_IN_USE = "key_in_use"

#: Statuses after which the same request may succeed later.
_RETRYABLE = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
#: Status -> code of the error envelope. Other 4xx are ``BAD_REQUEST``, and 5xx ``INTERNAL_ERROR``.
_ENVELOPE_CODES: dict[HTTPStatus, EnvelopeCode] = {
    HTTPStatus.UNAUTHORIZED: "UNAUTHORIZED",
    HTTPStatus.FORBIDDEN: "FORBIDDEN",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.CONFLICT: "CONFLICT",
    HTTPStatus.UNPROCESSABLE_ENTITY: "VALIDATION_ERROR",
    HTTPStatus.TOO_MANY_REQUESTS: "RATE_LIMITED",
}

Finding = TypeVar("Finding")


class Findings(Generic[Finding]):
    """Invalid or suspicious values of a request: all are counted, the first few are listed.

    Attributes:
        listed: the first :data:`MAX_ERRORS` values, which the response lists.
    """

    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def room(self) -> int:
        """Number of further values that can be listed."""
        return max(0, MAX_ERRORS - self._count)

    @property
    def full(self) -> bool:
        """Whether the list is full, so that further values are only counted."""
        return self._count >= MAX_ERRORS

    def count(self, number: int) -> None:
        """Count values that are not listed because the list is full."""
        self._count += number

    def append(self, finding: Finding) -> None:
        """Count a value, and list it unless the list is full."""
        if not self.full:
            self.listed.append(finding)
        self._count += 1

    def extend(self, findings: Iterable[Finding]) -> None:
        """Append each of ``findings``."""
        for finding in findings:
            self.append(finding)


class Violations(Findings[Violation]):
    """The invalid values of a request."""


class ProblemError(Exception):
    """Raised to respond to a request with a problem.

    Attributes:
        status: HTTP status of the response.
        code: stable name of the error, the member ``error_code``.
        detail: what is wrong and what the client should do, in one or two sentences.
        headers: further headers of the response.
        violations: invalid values, for 422; location of the error in a malformed body, for 400.
    """

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        violations: Violations | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.violations = violations


def not_found(task_id: str) -> NoReturn:
    """Reject a request for a job that does not exist or belongs to another API key.

    The response is the same in both cases, so that it does not reveal the jobs of other keys.

    Raises:
        ProblemError: 404, always.
    """
    raise ProblemError(
        HTTPStatus.NOT_FOUND,
        "not_found",
        f"There is no task {task_id} that this API key may read. Check the task id and the key; "
        "expired tasks are deleted.",
    )


def one_bad_value(pointer: str, code: str, detail: str) -> ProblemError:
    """Return the 422 problem of a request with one invalid value.

    Args:
        pointer: JSON Pointer of the value; empty for the request as a whole.
        code: name of the violated rule, also the problem's ``error_code``.
        detail: what is wrong and what to send instead.
    """
    violations = Violations()
    violations.append(Violation(pointer, code, detail))
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, code, detail, violations=violations)


def operator_required() -> ProblemError:
    """Return the 403 problem of a request that needs an operator's API key."""
    detail = (
        "This request needs an API key with the role operator, and the key that was sent has the "
        "role client. Send an operator's key."
    )
    return ProblemError(HTTPStatus.FORBIDDEN, "forbidden", detail)


def problem_body(error: ProblemError, instance: str, now: datetime) -> Problem:
    """Return the response body for an error.

    Args:
        error: the error that ended the request.
        instance: id of the request.
        now: current time, in UTC.
    """
    errors = error.violations
    return Problem(
        type=f"urn:qrmill:problem:{error.code}",
        title=error.status.phrase,
        status=error.status.value,
        detail=error.detail,
        instance=instance,
        error_code=error.code,
        retryable=error.status in _RETRYABLE or error.code == KEY_IN_USE,
        timestamp=now.isoformat(timespec="milliseconds"),
        error=_envelope(error),
        errors=errors.listed if errors else None,
        errors_total=len(errors) if errors else None,
    )


def _envelope(error: ProblemError) -> ErrorEnvelope:
    """Return the error in the form of the base contract."""
    is_ours = error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    other: EnvelopeCode = "INTERNAL_ERROR" if is_ours else "BAD_REQUEST"
    listed = error.violations.listed if error.violations else []
    details = [ErrorDetail(field_path(row.pointer), row.detail) for row in listed]
    return ErrorEnvelope(
        code=_ENVELOPE_CODES.get(error.status, other),
        message=error.detail,
        status=error.status.value,
        details=details or None,
    )


def field_path(pointer: str) -> str:
    """Return a JSON Pointer as names and indices separated by dots, without the escapes.

    ``/items/17/serial`` becomes ``items.17.serial``. The empty pointer, which is the request as a
    whole, becomes an empty string. Names that contain a dot are ambiguous in this form.
    """
    # ~1 first: ~01 stands for ~1, and not for a slash (RFC 6901, section 4).
    return pointer[1:].replace("/", ".").replace("~1", "/").replace("~0", "~")


def malformed_json(error: Exception | str) -> ProblemError:
    """Return the 400 problem of a body that is not JSON in UTF-8 (RFC 8259, section 8.1).

    Args:
        error: the exception that the decoder raised, or what is wrong in other words.
    """
    detail = f"The body is not valid JSON ({error}). Send one JSON object in UTF-8."
    if isinstance(error, RecursionError):
        detail = "The JSON in the body is nested too deeply. Send the fields of the request only."
    return ProblemError(HTTPStatus.BAD_REQUEST, "malformed_json", detail)


def invalid(violations: Violations) -> ProblemError:
    """Return the 422 problem that lists ``violations``."""
    count = len(violations)
    subject = "1 value of the request is" if count == 1 else f"{count} values of the request are"
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_request",
        f"{subject} invalid; nothing was accepted. The response lists what to send instead.",
        violations=violations,
    )
