"""Errors as RFC 9457 problem details, and the one place that maps exceptions to them."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import NoReturn

import falcon
import msgspec
import structlog

from api.schemas.problems import Problem, Violation
from pipeline.service import (
    BacklogFullError,
    IdempotencyError,
    NotPossibleError,
    StoreUnavailableError,
    UnavailableError,
    UncertainAcceptanceError,
    UnreadableError,
)

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
#: Bad values that a response lists at most.
MAX_ERRORS = 100
#: Seconds after which a client may retry when a backend is unavailable.
_RETRY_AFTER = 5


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


def install(app: falcon.App[falcon.Request, falcon.Response]) -> None:
    """Make ``app`` respond to every error with a problem."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _from_falcon)
    app.add_error_handler(ProblemError, _from_problem)
    app.add_error_handler(BacklogFullError, _from_full_backlog)
    app.add_error_handler(NotPossibleError, _from_not_possible)
    app.add_error_handler(IdempotencyError, _from_idempotency)
    app.add_error_handler(UnreadableError, _from_unreadable)
    app.add_error_handler(UnavailableError, _from_unavailable)


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


def _respond(req: falcon.Request, resp: falcon.Response, error: ProblemError) -> None:
    resp.status = error.status.value
    resp.content_type = MEDIA_TYPE
    resp.data = msgspec.json.encode(problem_body(error, req.context.request_id))
    resp.set_headers(error.headers)


def _from_problem(
    req: falcon.Request, resp: falcon.Response, error: ProblemError, _params: dict[str, str]
) -> None:
    _respond(req, resp, error)


def _from_falcon(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: dict[str, str]
) -> None:
    status = HTTPStatus(error.status_code)
    code = status.name.lower()
    detail = error.description or f"{status.description or status.phrase}: {req.method} {req.path}."
    headers = dict(error.headers or {})
    _respond(req, resp, ProblemError(status, code, detail, headers=headers))


def _from_unavailable(
    req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, str]
) -> None:
    log.warning("service unavailable", reason=f"{type(error).__name__}: {error}")
    _respond(req, resp, unavailable(error, req.method))


def unavailable(error: Exception, method: str) -> ProblemError:
    """Return the 503 of a request that met a backend which is unavailable.

    Args:
        error: what the backend's client raised.
        method: of the request.
    """
    part = "object store" if isinstance(error, StoreUnavailableError) else "job queue"
    outcome = "; nothing was accepted" if method == "POST" else ""
    if isinstance(error, UncertainAcceptanceError):
        outcome = "; the request may have been accepted: the same one with the same "
        outcome += "Idempotency-Key finds out"
    detail = f"The {part} is out of reach{outcome}. Try again in {_RETRY_AFTER} s."
    headers = {"Retry-After": str(_RETRY_AFTER)}
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", detail, headers=headers)


def _from_unreadable(
    req: falcon.Request, resp: falcon.Response, error: UnreadableError, params: dict[str, str]
) -> None:
    # Not 503, which asks to try again, nor 404, which lets a promise be forgotten.
    log.error("job not readable in S3", task_id=params.get("task_id"), reason=str(error))
    detail = (
        "What the object store has of this task is damaged, so nobody can say how far it is. Send "
        "the request anew, or tell the operator: the request id finds what is damaged in the log."
    )
    problem = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "unreadable", detail)
    _respond(req, resp, problem)


def _from_full_backlog(
    req: falcon.Request, resp: falcon.Response, error: BacklogFullError, _params: dict[str, str]
) -> None:
    _respond(req, resp, backlog_full(error))


def backlog_full(error: BacklogFullError) -> ProblemError:
    """Return the 503 of a request that would exceed the backlog's limit."""
    detail = f"Too much work is waiting; nothing was accepted. Try again in {error.retry_after} s."
    headers = {"Retry-After": str(error.retry_after)}
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "backlog_full", detail, headers=headers)


def _from_not_possible(
    req: falcon.Request, resp: falcon.Response, error: NotPossibleError, _params: dict[str, str]
) -> None:
    _respond(req, resp, not_possible(error))


def not_possible(error: NotPossibleError) -> ProblemError:
    """Return the 409 of a job whose state forbids the request."""
    return ProblemError(HTTPStatus.CONFLICT, "not_possible", str(error))


def _from_idempotency(
    req: falcon.Request, resp: falcon.Response, error: IdempotencyError, _params: dict[str, str]
) -> None:
    _respond(req, resp, idempotency_conflict(error))


def idempotency_conflict(error: IdempotencyError) -> ProblemError:
    """Return the 409 or the 422 of a request whose Idempotency-Key cannot be used."""
    if error.busy:
        detail = "A request with this Idempotency-Key is being handled now. Ask again."
        headers = {"Retry-After": "1"}
        return ProblemError(HTTPStatus.CONFLICT, "key_in_use", detail, headers=headers)
    detail = "This Idempotency-Key came with another body before. Use a new key for a new body."
    return one_bad_value("", "key_reused", detail)


def _unexpected(
    req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, str]
) -> None:
    log.error("unexpected error", exc_info=error)
    detail = "Something unexpected went wrong; the request id finds it in the service's log."
    _respond(req, resp, ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail))


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
