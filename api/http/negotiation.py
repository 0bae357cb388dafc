"""Content negotiation: the media types that a client accepts."""

from http import HTTPStatus

import falcon

from api.http.problems import ProblemError


def check_accepts(req: falcon.Request, media_type: str) -> None:
    """Check that the client takes an answer of ``media_type``.

    Raises:
        ProblemError: 406.
    """
    if not req.client_accepts(media_type):
        raise ProblemError(
            HTTPStatus.NOT_ACCEPTABLE,
            "not_acceptable",
            f"This answers with {media_type}, which Accept: {req.accept} does not allow.",
        )
