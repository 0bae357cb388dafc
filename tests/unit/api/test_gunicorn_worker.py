"""How exceptions of gunicorn become problems; test_raw_requests.py has the real server."""

import inspect
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus

import pytest
from gunicorn.config import Config
from gunicorn.http import errors

from api.gunicorn_worker import encode_response, rejection
from api.http.error_handlers import internal_error

KINDS = [
    kind
    for kind in vars(errors).values()
    if inspect.isclass(kind) and issubclass(kind, errors.ParseException)
]
DEFECTS = {
    errors.ConfigurationProblem,
    errors.InvalidResponseHeader,
    errors.InvalidResponseHeaderName,
}
SECRET = "qrmill_4f9k2m7q1x8z_0123456789ABCDEFGHIJKLMNOPQRSTUVabcdef"


def new(kind: Callable[..., Exception]) -> Exception:
    return kind() if kind is errors.InvalidSchemeHeaders else kind(SECRET)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in DEFECTS])
def test_whatever_gunicorn_cannot_parse_is_an_error_of_the_client(kind: type[Exception]) -> None:
    error = rejection(new(kind), Config())
    assert error is not None
    assert error.status < 500 or error.status == HTTPStatus.NOT_IMPLEMENTED
    assert SECRET not in error.detail
    assert "{" not in error.detail


def test_the_kinds_are_all_there() -> None:
    assert len(KINDS) >= 20
    assert {*KINDS} > DEFECTS


@pytest.mark.parametrize("error", [*map(new, sorted(DEFECTS, key=str)), ValueError(SECRET)])
def test_a_defect_is_no_error_of_the_client(error: Exception) -> None:
    assert rejection(error, Config()) is None


def test_a_handshake_that_fails_is_an_error_of_the_client() -> None:
    error = rejection(ssl.SSLError(1, SECRET), Config())
    assert error is not None
    assert (error.status, error.code) == (400, "malformed_request")


def test_limits_are_those_of_the_configuration() -> None:
    cfg = Config()
    cfg.set("limit_request_line", 77)
    error = rejection(errors.LimitRequestLine(78, 77), cfg)
    assert error is not None
    assert "longer than 77 bytes" in error.detail


def test_a_response_has_the_length_of_its_body() -> None:
    now = datetime(2026, 11, 23, 8, 0, 1, tzinfo=UTC)
    head, body = encode_response(internal_error(), "an-id", now).split(b"\r\n\r\n")
    first, *fields = head.decode("ascii").split("\r\n")
    assert first == "HTTP/1.1 500 Internal Server Error"
    headers = dict(field.split(": ", 1) for field in fields)
    assert headers["Content-Length"] == str(len(body))
    assert headers["Date"] == "Mon, 23 Nov 2026 08:00:01 GMT"
    assert headers["Connection"] == "close"
