"""Error handlers: the only place where exceptions become problem responses."""

import time
from datetime import UTC, datetime
from http import HTTPStatus

import falcon
import msgspec
import structlog

from api.http.item_limits import over_item_limit
from api.http.problems import (
    KEY_IN_USE,
    MEDIA_TYPE,
    ProblemError,
    one_bad_value,
    problem_body,
)
from api.http.redaction import redact_path
from pipeline.service import (
    BacklogFullError,
    IdempotencyError,
    ItemLimitError,
    NotPossibleError,
    StoreUnavailableError,
    UnavailableError,
    UncertainAcceptanceError,
    UnreadableError,
)
from render.errors import truncated

log = structlog.get_logger(__name__)

#: Seconds that a client should wait before a retry when a backend is unavailable.
_RETRY_AFTER = 5
#: Number of characters of a path that a detail shows; every path of the service is shorter.
_MOST_OF_PATH = 200
#: Details of errors that Falcon raises without a description.
_FALCON_DETAILS = {
    HTTPStatus.NOT_FOUND: "There is no resource at {path}. The OpenAPI document lists all paths.",
    HTTPStatus.METHOD_NOT_ALLOWED: "The method {method} is not allowed for {path}. The Allow "
    "header lists the allowed methods.",
}


def install_error_handlers(app: falcon.App[falcon.Request, falcon.Response]) -> None:
    """Make ``app`` respond to every exception with a problem."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _from_falcon)
    app.add_error_handler(ProblemError, _from_problem)
    app.add_error_handler(BacklogFullError, _from_full_backlog)
    app.add_error_handler(ItemLimitError, _from_item_limit)
    app.add_error_handler(NotPossibleError, _from_not_possible)
    app.add_error_handler(IdempotencyError, _from_idempotency)
    app.add_error_handler(UnreadableError, _from_unreadable)
    app.add_error_handler(UnavailableError, _from_unavailable)


def _respond(req: falcon.Request, resp: falcon.Response, error: ProblemError) -> None:
    resp.status = error.status.value
    resp.content_type = MEDIA_TYPE
    body = problem_body(error, req.context.request_id, datetime.now(UTC))
    resp.data = msgspec.json.encode(body)
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
    detail = error.description
    if not detail:
        other = f"{status.description or status.phrase}: {{method}} {{path}}."
        text = _FALCON_DETAILS.get(status, other)
        path = truncated(redact_path(req.path), _MOST_OF_PATH)
        detail = text.format(method=truncated(req.method), path=path)
    headers = dict(error.headers or {})
    _respond(req, resp, ProblemError(status, code, detail, headers=headers))


def _from_unavailable(
    req: falcon.Request, resp: falcon.Response, error: UnavailableError, _params: dict[str, str]
) -> None:
    log.warning("service unavailable", reason=f"{type(error).__name__}: {error}")
    _respond(req, resp, unavailable(error, req.method))


def unavailable(error: UnavailableError, method: str) -> ProblemError:
    """Return the 503 problem of a request that needed an unavailable backend.

    Args:
        error: the exception that the backend's client raised.
        method: HTTP method of the request.
    """
    backend = "object store" if isinstance(error, StoreUnavailableError) else "job queue"
    outcome, again = "", "Send the request again"
    if isinstance(error, UncertainAcceptanceError):
        outcome = ", and the request may have been accepted"
        again = "To find out, send the same request with the same Idempotency-Key again"
    elif method == "POST":
        outcome = "; nothing was accepted"
    detail = f"The {backend} is unreachable{outcome}. {again} in {_RETRY_AFTER} s."
    headers = {"Retry-After": str(_RETRY_AFTER)}
    return ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "unavailable", detail, headers=headers)


def _from_unreadable(
    req: falcon.Request, resp: falcon.Response, error: UnreadableError, params: dict[str, str]
) -> None:
    # Not 503, which would make clients retry. Not 404, which would mean that there is no such job.
    log.error("job unreadable in S3", task_id=params.get("task_id"), reason=str(error))
    detail = (
        "The stored records of this task are damaged, so its status is unknown. Submit its items "
        "again, or report the request id (X-Request-ID) to the operator: the log entry with this "
        "id names the damaged object."
    )
    problem = ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "unreadable", detail)
    _respond(req, resp, problem)


def _from_full_backlog(
    req: falcon.Request, resp: falcon.Response, error: BacklogFullError, _params: dict[str, str]
) -> None:
    _respond(req, resp, backlog_full(error))


def backlog_full(error: BacklogFullError) -> ProblemError:
    """Return the problem of a request that would exceed its tenant's share of the backlog.

    The status is 503 if the whole backlog would exceed its limit, and otherwise 429, because the
    service is available to all other clients.
    """
    detail = (
        "Too many of your tasks are waiting to be rendered; nothing was accepted. Send the request "
        f"again in {error.retry_after} s."
    )
    headers = {"Retry-After": str(error.retry_after)}
    status = HTTPStatus.SERVICE_UNAVAILABLE if error.over_limit else HTTPStatus.TOO_MANY_REQUESTS
    return ProblemError(status, "backlog_full", detail, headers=headers)


def _from_item_limit(
    req: falcon.Request, resp: falcon.Response, error: ItemLimitError, _params: dict[str, str]
) -> None:
    _respond(req, resp, over_item_limit(error, time.time()))


def _from_not_possible(
    req: falcon.Request, resp: falcon.Response, error: NotPossibleError, _params: dict[str, str]
) -> None:
    _respond(req, resp, not_possible(error))


def not_possible(error: NotPossibleError) -> ProblemError:
    """Return the 409 problem of a request that the state of the job forbids."""
    return ProblemError(HTTPStatus.CONFLICT, "not_possible", str(error))


def _from_idempotency(
    req: falcon.Request, resp: falcon.Response, error: IdempotencyError, _params: dict[str, str]
) -> None:
    _respond(req, resp, idempotency_conflict(error))


def idempotency_conflict(error: IdempotencyError) -> ProblemError:
    """Return the 409 or 422 problem of a request whose Idempotency-Key cannot be used."""
    if error.busy:
        detail = (
            "Another request with this Idempotency-Key is being processed. Send the request again "
            "in 1 s."
        )
        headers = {"Retry-After": "1"}
        return ProblemError(HTTPStatus.CONFLICT, KEY_IN_USE, detail, headers=headers)
    detail = (
        "This Idempotency-Key was used before with a different body. Use a new key for a new body."
    )
    return one_bad_value("", "key_reused", detail)


def _unexpected(
    req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, str]
) -> None:
    log.error("unexpected error", exc_info=error)
    _respond(req, resp, internal_error())


def internal_error() -> ProblemError:
    """Return the 500 problem of a request on which the service failed unexpectedly."""
    detail = (
        "The service failed unexpectedly. Send the request again; if the error persists, report "
        "the request id (X-Request-ID) to the operator, who finds the cause in the log."
    )
    return ProblemError(HTTPStatus.INTERNAL_SERVER_ERROR, "internal", detail)
