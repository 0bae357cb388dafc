"""Examples in the OpenAPI document: every error, by its status."""

from http import HTTPStatus
from typing import Any

from api.openapi.request_examples import BAD_SERIAL, TASK_ID, named

_REQUEST_ID = "b1f7e1c0-2f0e-4a55-9c5e-0d9f6c3a1b42"


def _problem(status: HTTPStatus, code: str, detail: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {
        "type": f"urn:qrmill:problem:{code}",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
        "instance": _REQUEST_ID,
        "error_code": code,
        **more,
    }


def _refused(*errors: dict[str, Any]) -> dict[str, Any]:
    count = f"{len(errors)} value is" if len(errors) == 1 else f"{len(errors)} values are"
    return _problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "invalid_request",
        f"{count} not valid; nothing was accepted.",
        errors=[*errors],
        errors_total=len(errors),
    )


_REUSED = "This Idempotency-Key came with another body before. Use a new key for a new body."
_UNCLOSED = "This record has a quote that is never closed."
_CSV_BREAKS_OFF = {"pointer": "", "code": "malformed_csv", "detail": _UNCLOSED, "line": 4}
#: Examples of every error, by status.
PROBLEMS: dict[str, dict[str, Any]] = {
    "400": named(
        json=(
            "The JSON breaks off",
            _problem(
                HTTPStatus.BAD_REQUEST,
                "malformed_json",
                "The body is not JSON: Input data was truncated.",
            ),
        ),
        csv=(
            "A quote is not closed",
            _problem(
                HTTPStatus.BAD_REQUEST,
                "malformed_csv",
                f"The body is not CSV. Line 4: {_UNCLOSED}",
                errors=[_CSV_BREAKS_OFF],
                errors_total=1,
            ),
        ),
        gzip=(
            "The gzip breaks off",
            _problem(
                HTTPStatus.BAD_REQUEST,
                "malformed_gzip",
                "The body is not gzip, or damaged: it breaks off.",
            ),
        ),
    ),
    "401": named(
        missing=(
            "No key",
            _problem(
                HTTPStatus.UNAUTHORIZED,
                "unauthorized",
                "The request has no key. Send your API key in the header X-API-Key.",
            ),
        ),
    ),
    "403": named(
        role=(
            "A client's key",
            _problem(HTTPStatus.FORBIDDEN, "forbidden", "This needs a key with the role operator."),
        ),
    ),
    "404": named(
        task=(
            "No such task",
            _problem(
                HTTPStatus.NOT_FOUND,
                "not_found",
                f"There is no task {TASK_ID} that this key may see.",
            ),
        ),
    ),
    "406": named(
        html=(
            "The client wants HTML",
            _problem(
                HTTPStatus.NOT_ACCEPTABLE,
                "not_acceptable",
                "This answers with application/json, which Accept: text/html does not allow.",
            ),
        ),
    ),
    "409": named(
        busy=(
            "The same request is in flight",
            _problem(
                HTTPStatus.CONFLICT,
                "key_in_use",
                "A request with this Idempotency-Key is being handled now. Ask again.",
            ),
        ),
        ended=(
            "The task has ended",
            _problem(
                HTTPStatus.CONFLICT,
                "not_possible",
                "The task has ended already; there is nothing to cancel.",
            ),
        ),
    ),
    "413": named(
        body=(
            "Too long a body, or one that inflates to that",
            _problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "too_large",
                "A request body may have 5120000 bytes, inflated; this one has more. Send fewer "
                "items a request.",
            ),
        ),
    ),
    "415": named(
        media_type=(
            "A form",
            _problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "The body has to be application/json or text/csv in UTF-8; Content-Type says "
                "application/x-www-form-urlencoded.",
            ),
        ),
        coding=(
            "Another compression",
            _problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "unsupported_coding",
                "The body's Content-Encoding is 'br'; send it with gzip, or without any.",
            ),
        ),
    ),
    "422": named(
        value=("A bad serial number", _refused(BAD_SERIAL)),
        csv=("The same in a CSV file", _refused(BAD_SERIAL | {"line": 18, "column": 2})),
        parameter=(
            "A mistyped query parameter",
            _refused(
                {
                    "pointer": "/dryrun",
                    "code": "unknown_parameter",
                    "detail": "There is no query parameter 'dryrun'; did you mean 'dry_run'?",
                }
            ),
        ),
        reused=(
            "An Idempotency-Key with another body",
            _problem(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "key_reused",
                _REUSED,
                errors=[{"pointer": "", "code": "key_reused", "detail": _REUSED}],
                errors_total=1,
            ),
        ),
    ),
    "429": named(
        rate=(
            "Over the rate",
            _problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                "over_rate",
                "This key may send 300 requests a minute. Try again in 21 s.",
            ),
        ),
    ),
    "503": named(
        away=(
            "A part is away",
            _problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "unavailable",
                "The job queue is out of reach; nothing was accepted. Try again in 5 s.",
            ),
        ),
        full=(
            "Too much waits",
            _problem(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "backlog_full",
                "Too much work is waiting; nothing was accepted. Try again in 40 s.",
            ),
        ),
    ),
}
