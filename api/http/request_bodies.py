"""Reading of request bodies, within a size limit and a deadline."""

import io
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import nullcontext
from http import HTTPStatus

import falcon
from falcon.util.mediatypes import parse_header
from gunicorn.http.errors import ParseException

from api.http.content_encoding import DECODERS, PIECE_BYTES, unsupported_coding
from api.http.deadlines import BodyDeadline
from api.http.negotiation import CSV, JSON, check_accepts
from api.http.problems import ProblemError
from render.errors import shown

_CHARSETS = {"utf-8", "utf8", "us-ascii", "ascii"}
#: Values of ``charset`` accepted for CSV only, where the byte order mark determines the encoding.
_UTF16 = {"utf-16", "utf16", "utf-16le", "utf-16be"}


class BodyReader:
    """Reads request bodies, within a size limit and a deadline.

    Args:
        deadline: time limit for a body to arrive.
    """

    def __init__(self, deadline: BodyDeadline) -> None:
        self._deadline = deadline

    def read_json(self, req: falcon.Request, limit: int) -> bytes:
        """Return the JSON body of a request whose response is JSON too.

        Args:
            req: the request.
            limit: maximum size of the body in bytes, decompressed.

        Raises:
            ProblemError: 406 if the client does not accept JSON, or an error of :meth:`read`.
        """
        check_accepts(req, JSON)
        return self.read(req, limit, (JSON,))[1]

    def read(
        self, req: falcon.Request, limit: int, media_types: tuple[str, ...]
    ) -> tuple[str, bytes]:
        """Return the media type of a body, and the decompressed body; JSON is without a BOM.

        A body whose Content-Length exceeds the limit is rejected unread. Any other body is rejected
        as soon as it exceeds the limit, while it is received or decompressed.

        Args:
            req: the request.
            limit: maximum size of the body in bytes, decompressed.
            media_types: media types that the request may have.

        Raises:
            ProblemError: 413 if the body is too large; 415 for another media type or content
                coding; 400 if the body is incomplete or not valid gzip.
        """
        media_type = _media_type(req, media_types)
        coding = (req.get_header("Content-Encoding") or "identity").strip().lower()
        if coding not in DECODERS:
            raise unsupported_coding(coding)
        body = io.BytesIO()
        connection = req.env.get("gunicorn.socket")
        with self._deadline.enforced(connection) if connection else nullcontext():
            for piece in DECODERS[coding](_received(req, limit)):
                if body.tell() + len(piece) > limit:
                    raise too_large(limit)
                body.write(piece)
        received = body.getvalue()
        # RFC 8259, section 8.1: a parser may ignore a byte order mark.
        return media_type, received.removeprefix(BOM_UTF8) if media_type == JSON else received


def _media_type(req: falcon.Request, allowed: tuple[str, ...]) -> str:
    media_type, parameters = parse_header(req.content_type or "")
    media_type = media_type.strip().lower()
    charset = parameters.get("charset", "utf-8").strip("'\" ").lower()
    if media_type in allowed and charset in _CHARSETS | (_UTF16 if media_type == CSV else set()):
        return media_type
    raise unsupported_media_type(allowed, req.content_type)


def _received(req: falcon.Request, limit: int) -> Iterator[bytes]:
    """Yield the body as it was sent, in pieces."""
    length = req.content_length
    if length is not None and length > limit:
        raise too_large(limit)
    left = limit + 1 if length is None else length
    while left:
        try:
            piece = req.stream.read(min(left, PIECE_BYTES))
        except (OSError, ParseException) as error:  # disconnected, or malformed chunked encoding
            detail = (
                "The connection ended before the body was complete, or its chunked encoding is "
                f"malformed ({type(error).__name__}). Send the whole request again."
            )
            raise ProblemError(HTTPStatus.BAD_REQUEST, "short_body", detail) from None
        if not piece:
            break
        left -= len(piece)
        yield piece
    if length is not None and left:
        detail = (
            f"The body ended after {length - left} bytes, but its Content-Length is {length}. Send "
            "the whole body."
        )
        raise ProblemError(HTTPStatus.BAD_REQUEST, "short_body", detail)
    if length is None and not left:
        raise too_large(limit)


def too_large(limit: int) -> ProblemError:
    """Return the 413 problem of a body that exceeds ``limit`` bytes after decompression."""
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too_large",
        f"The body is larger than the limit of {limit} bytes, which counts decompressed bytes. "
        "Send fewer items per request.",
    )


def unsupported_media_type(allowed: tuple[str, ...], content_type: str | None) -> ProblemError:
    """Return the 415 problem of a body of another media type or character set."""
    reason = "The request has no Content-Type header"
    if content_type:
        reason = f"The Content-Type {shown(content_type)} is not supported"
    return ProblemError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        f"{reason}. Send {' or '.join(allowed)} in UTF-8.",
    )
