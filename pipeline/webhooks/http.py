"""Delivery: one POST to an address that was checked, and nothing else.

The connection goes to the address that :func:`pipeline.webhooks.addresses.resolve` returned, while
TLS and the Host header name the host, so that a name that leads somewhere else a moment later is of
no use. No redirect is followed, no proxy of the environment is used, nothing is tried twice, and of
the answer only the status and Retry-After are read.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.client import HTTPException
from typing import NamedTuple

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from pipeline.webhooks.urls import CallbackUrl

#: Seconds for each address to take the connection and to agree on TLS; and for the answer, in all.
_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 10
#: Addresses that are tried at most.
_ADDRESSES = 2


class DeliveryError(Exception):
    """Nothing came back; the message says why, in words for the receiver's people."""


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: of the answer.
        retry_after: seconds before which nothing should be sent again (RFC 9110, section 10.2.3);
            0 when it does not say, or not so that it can be read.
    """

    status: int
    retry_after: float


def post(
    url: CallbackUrl, addresses: Sequence[str], body: bytes, headers: Mapping[str, str]
) -> Answer:
    """Send ``body`` and return the answer.

    Args:
        url: where to.
        addresses: of its host, checked; the first that takes the connection is used.
        body: JSON.
        headers: sent besides what HTTP needs.

    Raises:
        DeliveryError: there was no connection, or no answer on it in time.
    """
    connection = _connect(url, addresses[:_ADDRESSES])
    started = time.monotonic()
    try:
        return _exchange(connection, url, body, headers)
    except (HTTPException, HTTPError, OSError, ValueError):
        late = time.monotonic() - started >= _ANSWER_SECONDS
        in_time = f"gave no answer within {_ANSWER_SECONDS} s"
        raise DeliveryError(in_time if late else "broke off without an answer") from None
    finally:
        connection.close()


def _connect(url: CallbackUrl, addresses: Sequence[str]) -> HTTPConnection:
    error = DeliveryError("has no address")
    for address in addresses:
        connection = _connection(url, address)
        try:
            connection.connect()
        except (HTTPError, OSError) as reason:
            connection.close()
            error = DeliveryError(_words(reason))
        else:
            return connection
    raise error


def _connection(url: CallbackUrl, address: str) -> HTTPConnection:
    if url.scheme == "http":
        return HTTPConnection(address, url.port, timeout=_CONNECT_SECONDS)
    return HTTPSConnection(
        address,
        url.port,
        timeout=_CONNECT_SECONDS,
        ssl_context=ssl.create_default_context(),  # which wants a certificate of that host
        server_hostname=url.host,
    )


def _exchange(
    connection: HTTPConnection, url: CallbackUrl, body: bytes, headers: Mapping[str, str]
) -> Answer:
    connection.timeout = _ANSWER_SECONDS
    with _ended_after(connection.sock, _ANSWER_SECONDS):
        connection.request(
            "POST",
            url.target,
            body,
            {**headers, "Host": url.authority, "Connection": "close"},
            preload_content=False,
        )
        answer = connection.getresponse()
    return Answer(answer.status, _seconds(answer.headers.get("Retry-After", "")))


def _seconds(said: str) -> float:
    try:
        return Retry().parse_retry_after(said)
    except (HTTPError, ValueError, OverflowError):  # neither a number nor a date, or beyond all
        return 0.0


@contextmanager
def _ended_after(connected: socket.socket, seconds: float) -> Iterator[None]:
    """Cut a connection after ``seconds``: a time-out alone starts anew with every byte."""

    def cut() -> None:
        with suppress(OSError):
            # Not TLS's own way, which would wait for the other side or confuse who is reading.
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _words(reason: Exception) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"has no valid certificate: {reason.verify_message}"
    if isinstance(reason, ssl.SSLError):
        return "does not speak TLS as it should"
    if isinstance(reason, TimeoutError) or "timed out" in str(reason):
        return f"took no connection within {_CONNECT_SECONDS} s"
    return "took no connection"
