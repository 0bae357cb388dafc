"""Responses to requests that no thread takes: incomplete, too large, or too many at once."""

import uuid
from http import HTTPStatus

import msgspec
from gunicorn import util

from api.connections.request_head import HEAD_BYTES
from api.http.problems import MEDIA_TYPE, ProblemError, problem_body

#: Seconds after which a client that has too many requests in progress may send the next.
_RETRY_AFTER = 1


def too_slow(seconds: float) -> ProblemError:
    """Return the 408 problem of a request that did not arrive in time."""
    return ProblemError(
        HTTPStatus.REQUEST_TIMEOUT,
        "request_timeout",
        f"The request did not arrive within {seconds:g} s; nothing was accepted. Send the whole "
        "request at once, and again.",
    )


def head_too_large() -> ProblemError:
    """Return the 431 problem of a request whose header fields do not end."""
    return ProblemError(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "headers_too_large",
        f"The request line and the header fields have more than {HEAD_BYTES} bytes. Send fewer "
        "and shorter header fields.",
    )


def too_many_requests(most: int) -> ProblemError:
    """Return the 503 problem of a client that has too many requests in progress."""
    return ProblemError(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "busy",
        f"{most} requests from your address are in progress in this process; nothing was accepted. "
        f"Send fewer at once, and this one again in {_RETRY_AFTER} s.",
        headers={"Retry-After": str(_RETRY_AFTER)},
    )


def encode_refusal(error: ProblemError) -> bytes:
    """Return the HTTP/1.1 response with a problem, after which the connection is closed."""
    request_id = str(uuid.uuid4())
    body = msgspec.json.encode(problem_body(error, request_id))
    headers = {
        "Date": util.http_date(),
        "Connection": "close",
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Request-ID": request_id,
        **error.headers,
    }
    head = f"HTTP/1.1 {error.status.value} {error.status.phrase}\r\n"
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{head}{fields}\r\n".encode("ascii") + body
