"""Forms of the console: each has a signed token of its session and can be sent only once."""

import re
import secrets
from http import HTTPStatus
from urllib.parse import parse_qs

import falcon
from itsdangerous import BadData, URLSafeTimedSerializer

from api.http.problems import ProblemError
from api.http.request_bodies import BodyReader

#: Name of the form field that holds the token.
TOKEN_FIELD = "form_token"  # noqa: S105 - the field's name
#: The nonce that :func:`issue_token` puts into a token.
_NONCE = re.compile(r"[A-Za-z0-9_-]{16}")
#: Maximum length of a token, in characters.
_LONGEST = 200
#: Seconds for which a token is valid; the same as for a session.
_LIFETIME = 12 * 3600
_LIMIT = 64 * 1024  # bytes of a form
_MOST_FIELDS = 1000
_MEDIA_TYPE = "application/x-www-form-urlencoded"

FormFields = dict[str, list[str]]


def issue_token(session: str) -> str:
    """Return a form token for the session whose session token is ``session``."""
    return _serializer(session).dumps(secrets.token_urlsafe(12))


def check_token(session: str, form: FormFields) -> str:
    """Return the nonce of a form's token, which shows whether the form was already sent.

    A visitor who is not signed in chooses ``session`` freely, and can therefore sign any payload.
    The payload is read only if the token has the length and the syntax of an issued token.

    Raises:
        ProblemError: 403; the token is missing, belongs to another session, or has expired.
    """
    (token,) = form.get(TOKEN_FIELD, [])[:1] or [""]
    # A token that begins with a dot is compressed, and could be inflated to any length.
    if len(token) <= _LONGEST and not token.startswith("."):
        try:
            nonce = _serializer(session).loads(token, max_age=_LIFETIME)
        except BadData:
            nonce = None
        if isinstance(nonce, str) and _NONCE.fullmatch(nonce):
            return nonce
    detail = "The form belongs to another session or has expired. Open the page again."
    raise ProblemError(HTTPStatus.FORBIDDEN, "wrong_form", detail)


def check_origin(req: falcon.Request) -> None:
    """Check that the request does not come from another site (W3C Fetch Metadata, section 2.3).

    Raises:
        ProblemError: 403; another site made the browser send the request.
    """
    if (req.get_header("Sec-Fetch-Site") or "same-origin") not in {"same-origin", "none"}:
        detail = "The form was sent from another site. Use the console's own page."
        raise ProblemError(HTTPStatus.FORBIDDEN, "wrong_form", detail)


def read_form_body(bodies: BodyReader, req: falcon.Request) -> bytes:
    """Return the encoded fields of a form.

    Args:
        bodies: reads the body.
        req: the request.

    Raises:
        ProblemError: 411 if the size of the body is not known in advance, 413 if the body is larger
            than 64 KiB, 415 if it is not a form, 400 if it is incomplete.
    """
    if req.content_length is None and req.get_header("Transfer-Encoding") is not None:
        # A form of known size is complete when a thread takes the request. A thread would have to
        # wait for any other body, and the form to sign in needs no API key.
        detail = "The form has no Content-Length. Send its size, as browsers do."
        raise ProblemError(HTTPStatus.LENGTH_REQUIRED, "length_required", detail)
    return bodies.read(req, _LIMIT, (_MEDIA_TYPE,))[1]


def read_form(bodies: BodyReader, req: falcon.Request) -> FormFields:
    """Return the fields of a form.

    Args:
        bodies: reads the body.
        req: the request.

    Raises:
        ProblemError: as for :func:`read_form_body`; also 400 if the form has more than 1000 fields
            or is not UTF-8.
    """
    sent = read_form_body(bodies, req)
    try:
        return parse_qs(
            sent.decode("ascii"),
            keep_blank_values=True,
            max_num_fields=_MOST_FIELDS,
            errors="strict",
        )
    except ValueError as error:
        detail = f"The form is malformed: {error}."
        raise ProblemError(HTTPStatus.BAD_REQUEST, "malformed_form", detail) from None


def _serializer(session: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(session, salt="qrmill.console.form")
