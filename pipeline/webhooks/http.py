"""Delivery of a webhook: one POST to an address that has been checked.

The connection goes to an address that :func:`pipeline.webhooks.addresses.resolve` returned, while
TLS and the Host header name the host. A name that resolves to another address a moment later (DNS
rebinding) therefore has no effect. Redirects are not followed, proxies from the environment are not
used, and nothing is retried. Only the status and the Retry-After header of the final response are
read.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from typing import NamedTuple

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from pipeline.webhooks.urls import CallbackUrl

#: Seconds per address for the connection and for the TLS handshake.
_CONNECT_SECONDS = 5
#: Seconds for the whole exchange of request and response.
_RESPONSE_SECONDS = 10
#: Maximum number of addresses to try.
_MAX_ADDRESSES = 2
#: Maximum number of interim responses, and maximum size of all their headers in bytes.
_MAX_INTERIM, _MAX_INTERIM_BYTES = 10, 64 * 1024
_INTERIM = frozenset(range(100, 200)) - {HTTPStatus.SWITCHING_PROTOCOLS}
_END_OF_HEADERS = {b"\r\n", b"\n", b""}


class DeliveryError(Exception):
    """Raised when no response arrived; the message gives the reason, for the client."""


class Response(NamedTuple):
    """Response of a receiver.

    Attributes:
        status: HTTP status code.
        retry_after: seconds to wait before the next attempt, from the header Retry-After (RFC 9110,
            section 10.2.3); 0 if the header is missing or invalid.
    """

    status: int
    retry_after: float


class _FinalResponse(HTTPResponse):
    """HTTP response that skips the interim responses before the final one.

    A client must be able to parse any number of them, and may ignore them (RFC 9110, section 15.2).
    The base class skips only 100 (Continue). The response 101 (Switching Protocols) is final,
    because no HTTP response follows it.
    """

    def _read_status(self) -> tuple[str, int, str]:
        left = _MAX_INTERIM_BYTES
        for _ in range(_MAX_INTERIM + 1):
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc] # not in the stubs
            if found[1] not in _INTERIM:
                return found
            left -= self._skip_headers(left)
        raise DeliveryError(f"receiver sent more than {_MAX_INTERIM} interim responses")

    def _skip_headers(self, limit: int) -> int:
        """Read the headers of an interim response, and return their size in bytes."""
        size = 0
        while (line := self.fp.readline(limit - size + 1)) not in _END_OF_HEADERS:
            size += len(line)
            if size > limit:
                raise DeliveryError(
                    f"receiver sent interim responses with more than {_MAX_INTERIM_BYTES} bytes"
                )
        return size


def post(
    url: CallbackUrl, addresses: Sequence[str], body: bytes, headers: Mapping[str, str]
) -> Response:
    """Send ``body`` and return the response.

    Args:
        url: callback URL.
        addresses: checked addresses of its host; the first that accepts a connection is used.
        body: JSON body.
        headers: headers besides Host and those that the HTTP library adds.

    Raises:
        DeliveryError: no connection was possible, or no response arrived in time.
    """
    connection = _connect(url, addresses[:_MAX_ADDRESSES])
    started = time.monotonic()
    try:
        return _exchange(connection, url, body, headers)
    except (HTTPException, HTTPError, OSError, ValueError):
        late = time.monotonic() - started >= _RESPONSE_SECONDS
        timed_out = f"receiver did not respond within {_RESPONSE_SECONDS} s"
        closed = "receiver closed the connection without a valid HTTP response"
        raise DeliveryError(timed_out if late else closed) from None
    finally:
        connection.close()


def _connect(url: CallbackUrl, addresses: Sequence[str]) -> HTTPConnection:
    error = DeliveryError("receiver has no address")
    for address in addresses:
        connection = _connection(url, address)
        try:
            connection.connect()
        except (HTTPError, OSError) as reason:
            connection.close()
            error = DeliveryError(_describe_error(reason))
        else:
            return connection
    raise error


def _connection(url: CallbackUrl, address: str) -> HTTPConnection:
    connection = _open(url, address)
    connection.response_class = _FinalResponse
    return connection


def _open(url: CallbackUrl, address: str) -> HTTPConnection:
    if url.scheme == "http":
        return HTTPConnection(address, url.port, timeout=_CONNECT_SECONDS)
    return HTTPSConnection(
        address,
        url.port,
        timeout=_CONNECT_SECONDS,
        ssl_context=ssl.create_default_context(),  # verifies the certificate
        server_hostname=url.host,
    )


def _exchange(
    connection: HTTPConnection, url: CallbackUrl, body: bytes, headers: Mapping[str, str]
) -> Response:
    connection.timeout = _RESPONSE_SECONDS
    with _closed_after(connection.sock, _RESPONSE_SECONDS):
        connection.request(
            "POST",
            url.target,
            body,
            {**headers, "Host": url.authority, "Connection": "close"},
            preload_content=False,
        )
        response = connection.getresponse()
    return Response(response.status, _seconds(response.headers.get("Retry-After", "")))


def _seconds(retry_after: str) -> float:
    try:
        return Retry().parse_retry_after(retry_after)
    except (HTTPError, ValueError, OverflowError):  # neither a number nor a date, or out of range
        return 0.0


@contextmanager
def _closed_after(connected: socket.socket, seconds: float) -> Iterator[None]:
    """Shut down a connection after ``seconds`` in total.

    A socket timeout does not limit the total time, because it restarts with every received byte.
    """

    def shut_down() -> None:
        with suppress(OSError):
            # Shut down the TCP socket itself: SSLSocket.shutdown would drop the TLS state that the
            # reading thread is still using, and SSLSocket.unwrap would wait for the receiver.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _describe_error(reason: Exception) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"receiver has no valid certificate: {reason.verify_message}"
    if isinstance(reason, ssl.SSLError):
        return "TLS handshake with the receiver failed"
    if isinstance(reason, TimeoutError) or "timed out" in str(reason):
        return f"receiver accepted no connection within {_CONNECT_SECONDS} s"
    return "receiver accepted no connection"
