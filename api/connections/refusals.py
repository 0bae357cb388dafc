"""Problems of requests that no thread takes: incomplete, too large, or too many at once."""

from http import HTTPStatus

from api.connections.request_head import HEAD_BYTES
from api.http.problems import ProblemError

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
