"""Reading a request's body, within its limit, and writing JSON answers."""

from http import HTTPStatus

import falcon
import msgspec

from api.middleware import check_accepts
from api.problems import ProblemError

_JSON = "application/json"


def read_json_body(req: falcon.Request, limit: int) -> bytes:
    """Return a JSON request's body, at most ``limit`` bytes.

    A body that says it is longer is refused unread; one that does not say is read up to the limit.

    Raises:
        ProblemError: 406, 413 or 415, or 400 when the connection ended too early.
    """
    check_accepts(req, _JSON)
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    if media_type != _JSON:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type",
            f"The body has to be {_JSON}; Content-Type says {req.content_type or 'nothing'}.",
        )  # fmt: skip
    length = req.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    try:
        body: bytes = req.stream.read(limit + 1 if length is None else length)
    except OSError as error:  # the client is gone, or its chunked coding is broken
        detail = f"The body broke off or is not chunked as it should be: {type(error).__name__}."
        raise ProblemError(HTTPStatus.BAD_REQUEST, "short_body", detail) from None
    if len(body) > limit:
        raise _too_large(limit)
    if length is not None and len(body) < length:
        detail = f"The body has {len(body)} bytes; Content-Length says {length}."
        raise ProblemError(HTTPStatus.BAD_REQUEST, "short_body", detail)
    return body


def answer_json(resp: falcon.Response, status: HTTPStatus, answer: msgspec.Struct) -> None:
    """Answer ``status`` with ``answer`` as JSON."""
    resp.status = status.value
    resp.content_type = _JSON
    resp.data = msgspec.json.encode(answer)


def _too_large(limit: int) -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large",
        f"A request body may have {limit} bytes; this one has more. Send fewer items a request.",
    )  # fmt: skip
