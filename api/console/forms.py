"""Forms of the console: each bound to its session by a signed token, and good for one time."""

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
#: What :func:`issue_token` puts into a token, and characters that a token has at most.
_NONCE = re.compile(r"[A-Za-z0-9_-]{16}")
_LONGEST = 200
#: Seconds that a form may stand open, as long as a session.
_LIFETIME = 12 * 3600
_LIMIT = 64 * 1024  # bytes
_MOST_FIELDS = 1000
_MEDIA_TYPE = "application/x-www-form-urlencoded"

FormFields = dict[str, list[str]]


def issue_token(session: str) -> str:
    """Return a token for a form of the session whose own token is ``session``."""
    return _serializer(session).dumps(secrets.token_urlsafe(12))


def check_token(session: str, form: FormFields) -> str:
    """Return the nonce of a form's token, by which it is known whether it was sent before.

    A visitor who is not signed in chose ``session``, and may have signed anything: what it says is
    read only if it has the length and the form of a token of ours.

    Raises:
        ProblemError: 403, there is no token, or it is of another session, or too old.
    """
    (token,) = form.get(TOKEN_FIELD, [])[:1] or [""]
    # One that begins with a dot is compressed, and would be inflated to whatever length.
    if len(token) <= _LONGEST and not token.startswith("."):
        try:
            nonce = _serializer(session).loads(token, max_age=_LIFETIME)
        except BadData:
            nonce = None
        if isinstance(nonce, str) and _NONCE.fullmatch(nonce):
            return nonce
    detail = "The form is not one of this session, or too old. Open the page again."
    raise ProblemError(HTTPStatus.FORBIDDEN, "wrong_form", detail)


def check_origin(req: falcon.Request) -> None:
    """Check that no other site had the browser send this (W3C Fetch Metadata, section 2.3).

    Raises:
        ProblemError: 403.
    """
    if (req.get_header("Sec-Fetch-Site") or "same-origin") not in {"same-origin", "none"}:
        detail = "The form was sent by another site. Open the console's own page."
        raise ProblemError(HTTPStatus.FORBIDDEN, "wrong_form", detail)


def read_form_body(bodies: BodyReader, req: falcon.Request) -> bytes:
    """Return the encoded fields of a form.

    Args:
        bodies: reads the request.
        req: the request.

    Raises:
        ProblemError: 413 over 64 KiB, 415 if the body is no form, 400 if it is incomplete.
    """
    return bodies.read(req, _LIMIT, (_MEDIA_TYPE,))[1]


def read_form(bodies: BodyReader, req: falcon.Request) -> FormFields:
    """Return the fields of a form.

    Args:
        bodies: reads the request.
        req: the request.

    Raises:
        ProblemError: as :func:`read_form_body`; 400 if it has too many fields or is not UTF-8.
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
        detail = f"The form cannot be read: {error}."
        raise ProblemError(HTTPStatus.BAD_REQUEST, "malformed_form", detail) from None


def _serializer(session: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(session, salt="qrmill.console.form")
