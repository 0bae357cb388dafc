"""The head of a request as it arrives: enough of it to decide when a thread can take the request.

Gunicorn parses and validates the request afterwards.
"""

import re
from typing import NamedTuple

#: Maximum size of a request line with all header fields, in bytes.
HEAD_BYTES = 64 * 1024
#: Maximum size of a body that is received before a thread takes the request, in bytes. A thread
#: receives a larger body itself, after it has checked the API key.
SMALL_BODY = 64 * 1024

_END = b"\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?=\r\n)", re.IGNORECASE)
_CODED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)
_FORWARDED_FOR = re.compile(rb"\r\nx-forwarded-for:([^\r]*)", re.IGNORECASE)
_TARGET = re.compile(rb"(?:\r\n)?[A-Z]+ ([^ ?\r]+)")


class RequestHead(NamedTuple):
    """A complete head.

    Attributes:
        size: bytes of the head.
        body: bytes of the body that follow the head and arrive before a thread takes the request.
        large: whether a thread receives the body, because it is large or its size is unknown.
        expects: whether the client waits for ``100 Continue`` before it sends that body.
        path: path of the request, without a trailing slash.
        forwarded_for: the last ``X-Forwarded-For`` field; empty if there is none.
    """

    size: int
    body: int = 0
    large: bool = False
    expects: bool = False
    path: bytes = b""
    forwarded_for: str = ""


def read_head(received: bytearray) -> RequestHead | None:
    """Return the head that ``received`` begins with, or None if its end has not arrived.

    A head with an LF that is not preceded by CR is malformed. It counts as complete, because
    gunicorn rejects it without reading further.
    """
    end = received.find(_END)
    if end < 0:
        malformed = received.count(b"\n") != received.count(b"\r\n")
        return RequestHead(len(received)) if malformed else None
    head = bytes(received[: end + len(_END)])
    lengths, coded = _LENGTH.findall(head), bool(_CODED.search(head))
    length = int(lengths[0]) if len(lengths) == 1 else 0
    large = coded or length > SMALL_BODY
    target, forwarded = _TARGET.match(head), _FORWARDED_FOR.findall(head)
    return RequestHead(
        size=len(head),
        body=0 if large else length,
        large=large,
        expects=bool(length) and not large and bool(_EXPECT.search(head)),
        path=(target[1].rstrip(b"/") if target else b""),
        forwarded_for=forwarded[-1].decode("latin-1") if forwarded else "",
    )


def without_expectation(received: bytearray, head: RequestHead) -> bytes:
    """Return ``received`` without the ``Expect`` field, which has been answered."""
    return _EXPECT.sub(b"", bytes(received[: head.size])) + bytes(received[head.size :])
