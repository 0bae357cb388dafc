"""Content negotiation: media types that a client accepts."""

from http import HTTPStatus

import falcon

from api.http.problems import ProblemError
from render.errors import truncated

JSON, CSV = "application/json", "text/csv"


def check_accepts(req: falcon.Request, media_type: str) -> None:
    """Check that the client accepts a response of ``media_type``.

    Raises:
        ProblemError: 406 if the ``Accept`` header excludes ``media_type``.
    """
    if not req.client_accepts(media_type):
        raise not_acceptable(media_type, req.accept)


def not_acceptable(media_type: str, accept: str) -> ProblemError:
    """Return the 406 problem of a request whose ``Accept`` header excludes ``media_type``."""
    return ProblemError(
        HTTPStatus.NOT_ACCEPTABLE,
        "not_acceptable",
        f"The response would be {media_type}, which the header Accept: {truncated(accept)} "
        f"excludes. Send Accept: {media_type}, or no Accept header.",
    )
