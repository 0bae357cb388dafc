"""Errors as RFC 9457 problem details."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import NoReturn

from api.schemas.problems import Problem, Violation

MEDIA_TYPE = "application/problem+json"
#: Bad values that a response lists at most.
MAX_ERRORS = 100


class Violations:
    """The bad values of a request: the first :data:`MAX_ERRORS` of them, and how many there are.

    Attributes:
        listed: those that a response lists.
    """

    def __init__(self) -> None:
        self.listed: list[Violation] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether one more would only be counted."""
        return self._count >= MAX_ERRORS

    def count_one(self) -> None:
        """Count one more that would not be listed."""
        self._count += 1

    def append(self, violation: Violation) -> None:
        """Add one."""
        if not self.full:
            self.listed.append(violation)
        self._count += 1

    def extend(self, violations: Iterable[Violation]) -> None:
        """Add each of ``violations``."""
        for violation in violations:
            self.append(violation)


class ProblemError(Exception):
    """An error that becomes a response.

    Attributes:
        status: of the response.
        code: stable name of the error.
        detail: sentence that a client can act on.
        headers: of the response.
        violations: every bad value, for 422; where a CSV body is malformed, for 400.
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
    """Refuse a request for a job that does not exist, or that its key may not see.

    Both get the same response, so that it does not reveal another key's jobs.

    Raises:
        ProblemError: 404, always.
    """
    raise ProblemError(
        HTTPStatus.NOT_FOUND, "not_found", f"There is no task {task_id} that this key may see."
    )


def one_bad_value(pointer: str, code: str, detail: str) -> ProblemError:
    """Return the 422 of a request with one bad value; an empty ``pointer`` is the whole request."""
    violations = Violations()
    violations.append(Violation(pointer, code, detail))
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, code, detail, violations=violations)


def operator_required() -> ProblemError:
    """Return the 403 of a key that would have to be an operator's."""
    detail = "This needs a key with the role operator."
    return ProblemError(HTTPStatus.FORBIDDEN, "forbidden", detail)


def problem_body(error: ProblemError, instance: str) -> Problem:
    """Return the body of the response to a request that ended with an error.

    Args:
        error: what the request ended with.
        instance: id of the request.
    """
    errors = error.violations
    return Problem(
        type=f"urn:qrmill:problem:{error.code}",
        title=error.status.phrase,
        status=error.status.value,
        detail=error.detail,
        instance=instance,
        error_code=error.code,
        errors=errors.listed if errors else None,
        errors_total=len(errors) if errors else None,
    )


def malformed_json(error: Exception) -> ProblemError:
    """Return the 400 for a body that is not JSON."""
    detail = f"The body is not JSON: {error}."
    if isinstance(error, RecursionError):
        detail = "The body is nested too deeply."
    return ProblemError(HTTPStatus.BAD_REQUEST, "malformed_json", detail)


def invalid(violations: Violations) -> ProblemError:
    """Return the 422 that lists ``violations``."""
    count = len(violations)
    noun = "value is" if count == 1 else "values are"
    return ProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_request",
        f"{count} {noun} not valid; nothing was accepted.",
        violations=violations,
    )
