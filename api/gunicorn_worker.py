"""Gunicorn's threaded worker, with problems (RFC 9457) in place of gunicorn's HTML errors.

Gunicorn itself responds to requests that it cannot parse, before the application sees them.
"""

import ssl
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
import structlog
from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import ThreadWorker

from api.http.error_handlers import internal_error
from api.http.problems import MEDIA_TYPE, ProblemError, problem_body

log = structlog.get_logger(__name__)


class _Rejection(NamedTuple):
    """Response to a kind of malformed request; ``{cfg}`` in the detail is gunicorn's settings."""

    detail: str
    status: HTTPStatus = HTTPStatus.BAD_REQUEST
    code: str = "malformed_request"


_HEADER = _Rejection(
    "A header field is malformed, or contradicts another one. Send each field once, on a line of "
    "its own, as a name, a colon and a value without line breaks."
)
#: Exception of gunicorn -> response. An exception without an entry has that of its nearest base
#: class. No detail shows the malformed value, which may be an API key.
_REJECTIONS: dict[type[Exception], _Rejection] = {
    errors.InvalidRequestLine: _Rejection(
        "The request line is malformed. Send a method, a percent-encoded path and HTTP/1.1, each "
        "separated by one space."
    ),
    errors.InvalidRequestMethod: _Rejection(
        "The method is malformed. Send a method of upper-case letters, such as GET or POST."
    ),
    errors.InvalidHTTPVersion: _Rejection(
        "The HTTP version is malformed or not supported. Send HTTP/1.1."
    ),
    errors.InvalidHeader: _HEADER,
    errors.InvalidHeaderName: _HEADER,
    errors.ObsoleteFolding: _HEADER,
    errors.InvalidSchemeHeaders: _HEADER,
    errors.LimitRequestLine: _Rejection(
        "The request line is longer than {cfg.limit_request_line} bytes. Send a shorter path and "
        "query.",
        HTTPStatus.REQUEST_URI_TOO_LONG,
        "uri_too_long",
    ),
    errors.LimitRequestHeaders: _Rejection(
        "The request has more than {cfg.limit_request_fields} header fields, or one of more than "
        "{cfg.limit_request_field_size} bytes. Send fewer and shorter header fields.",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "headers_too_large",
    ),
    errors.ExpectationFailed: _Rejection(
        "The header Expect has an expectation that the service does not meet. Send "
        "Expect: 100-continue, or no Expect header.",
        HTTPStatus.EXPECTATION_FAILED,
        "expectation_failed",
    ),
    errors.UnsupportedTransferCoding: _Rejection(
        "The Transfer-Encoding is not supported. Send chunked, or a Content-Length.",
        HTTPStatus.NOT_IMPLEMENTED,
        "unsupported_transfer_coding",
    ),
    errors.ParseException: _Rejection(
        "The request is not valid HTTP/1.1. Check the client, and the proxy if there is one."
    ),
    ssl.SSLError: _Rejection(
        "The request is not valid TLS. Check the client, and the proxy if there is one."
    ),
}
#: Exceptions that derive from the above but are not caused by the client.
_DEFECTS = (
    errors.ConfigurationProblem,
    errors.InvalidResponseHeader,
    errors.InvalidResponseHeaderName,
)


class ProblemWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """Threaded worker whose own error responses have the form of the application's."""

    def handle_error(
        self,
        req: object | None,
        client: Any,  # noqa: ANN401 - a socket, with TLS or without
        addr: Any,  # noqa: ANN401 - depends on the kind of socket
        exc: Exception,
    ) -> None:
        """Respond to a request that gunicorn cannot parse, or on which the application failed.

        Gunicorn's own method logs the malformed line, which may contain an API key. Gunicorn closes
        the connection afterwards.

        Args:
            req: the request; None if its head is malformed.
            client: the connection.
            addr: the client's address.
            exc: the exception that gunicorn or the application raised.
        """
        rejected, request_id = rejection(exc, self.cfg), str(uuid.uuid4())
        if rejected is None:
            log.error("unexpected error", request_id=request_id, exc_info=exc)
        else:
            log.warning(
                "malformed request",
                request_id=request_id,
                status=rejected.status.value,
                reason=type(exc).__name__,
                address=addr[0] if addr else None,
            )
        # The application responds to malformed bodies. Of a body that it did not read, gunicorn
        # reads the rest after the response, and a client must not get a second one.
        if rejected is None or req is None:
            response = encode_response(rejected or internal_error(), request_id, datetime.now(UTC))
            with suppress(OSError):  # the client has closed the connection
                util.write_nonblock(client, response)


def rejection(exc: Exception, cfg: object) -> ProblemError | None:
    """Return the problem of a request that gunicorn cannot parse; None for any other exception.

    Args:
        exc: the exception that gunicorn raised.
        cfg: gunicorn's settings.
    """
    kinds = () if isinstance(exc, _DEFECTS) else type(exc).__mro__
    found = next((_REJECTIONS[kind] for kind in kinds if kind in _REJECTIONS), None)
    return found and ProblemError(found.status, found.code, found.detail.format(cfg=cfg))


def encode_response(error: ProblemError, request_id: str, now: datetime) -> bytes:
    """Return an HTTP/1.1 response with a problem, after which the connection is closed."""
    body = msgspec.json.encode(problem_body(error, request_id, now))
    headers = {
        "Date": format_datetime(now, usegmt=True),
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
