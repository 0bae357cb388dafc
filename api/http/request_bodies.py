"""Reading request bodies, within a limit."""

import io
from collections.abc import Iterator
from contextlib import nullcontext
from http import HTTPStatus

import falcon
from falcon.util.mediatypes import parse_header
from gunicorn.http.errors import ParseException

from api.http.body_deadline import BodyDeadline
from api.http.content_encoding import DECODERS, PIECE_BYTES, unsupported_coding
from api.http.negotiation import JSON, check_accepts
from api.http.problems import ProblemError


class BodyReader:
    """Reads request bodies, within a size limit and a deadline.

    Args:
        deadline: how long a body may take to arrive.
    """

    def __init__(self, deadline: BodyDeadline) -> None:
        self._deadline = deadline

    def read_json(self, req: falcon.Request, limit: int) -> bytes:
        """Return the JSON body of a request whose response is JSON.

        Args:
            req: the request.
            limit: bytes that the body may have.

        Raises:
            ProblemError: 406, or one of :meth:`read`.
        """
        check_accepts(req, JSON)
        return self.read(req, limit, (JSON,))[1]

    def read(
        self, req: falcon.Request, limit: int, media_types: tuple[str, ...]
    ) -> tuple[str, bytes]:
        """Return the media type of a body, and the body without its content coding.

        A body whose Content-Length exceeds the limit is refused unread. Any other is refused as
        soon as it exceeds the limit, while it is received or inflated.

        Args:
            req: the request.
            limit: bytes that the body may have, inflated.
            media_types: that are allowed.

        Raises:
            ProblemError: 413 or 415; 400 if the connection ended too early or gzip is broken.
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
        return media_type, body.getvalue()


def _media_type(req: falcon.Request, allowed: tuple[str, ...]) -> str:
    media_type, parameters = parse_header(req.content_type or "")
    media_type = media_type.strip().lower()
    charset = parameters.get("charset", "utf-8").lower()
    if media_type in allowed and charset in {"utf-8", "us-ascii"}:
        return media_type
    raise unsupported_media_type(allowed, req.content_type)


def _received(req: falcon.Request, limit: int) -> Iterator[bytes]:
    """Yield the body as it was sent, a piece at a time."""
    length = req.content_length
    if length is not None and length > limit:
        raise too_large(limit)
    left = limit + 1 if length is None else length
    while left:
        try:
            piece = req.stream.read(min(left, PIECE_BYTES))
        except (OSError, ParseException) as error:  # the client is gone, or its chunks are broken
            detail = (
                f"The body broke off or is not chunked as it should be: {type(error).__name__}."
            )
            raise ProblemError(HTTPStatus.BAD_REQUEST, "short_body", detail) from None
        if not piece:
            break
        left -= len(piece)
        yield piece
    if length is not None and left:
        detail = f"The body has {length - left} bytes; Content-Length says {length}."
        raise ProblemError(HTTPStatus.BAD_REQUEST, "short_body", detail)
    if length is None and not left:
        raise too_large(limit)


def too_large(limit: int) -> ProblemError:
    """Return the 413 of a body of more than ``limit`` bytes, inflated."""
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "too_large",
        f"A request body may have {limit} bytes, inflated; this one has more. Send fewer items a "
        "request.",
    )


def unsupported_media_type(allowed: tuple[str, ...], content_type: str | None) -> ProblemError:
    """Return the 415 of a body that is of none of the allowed media types, or not in UTF-8."""
    return ProblemError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        f"The body has to be {' or '.join(allowed)} in UTF-8; Content-Type says "
        f"{content_type or 'nothing'}.",
    )
