"""Error handlers: the one place that maps exceptions to problems."""

from http import HTTPStatus

import falcon
import msgspec
import structlog

from api.http.problems import MEDIA_TYPE, ProblemError, one_bad_value, problem_body
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

#: Seconds after which a client may retry when a backend is unavailable.
_RETRY_AFTER = 5


def install_error_handlers(app: falcon.App[falcon.Request, falcon.Response]) -> None:
    """Make ``app`` respond to every error with a problem."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _from_falcon)
    app.add_error_handler(ProblemError, _from_problem)
    app.add_error_handler(BacklogFullError, _from_full_backlog)
    app.add_error_handler(NotPossibleError, _from_not_possible)
    app.add_error_handler(IdempotencyError, _from_idempotency)
    app.add_error_handler(UnreadableError, _from_unreadable)
    app.add_error_handler(UnavailableError, _from_unavailable)


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
    req: falcon.Request, resp: falcon.Response, error: UnavailableError, _params: dict[str, str]
) -> None:
    log.warning("service unavailable", reason=f"{type(error).__name__}: {error}")
    _respond(req, resp, unavailable(error, req.method))


def unavailable(error: UnavailableError, method: str) -> ProblemError:
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
    log.error("job unreadable in S3", task_id=params.get("task_id"), reason=str(error))
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
