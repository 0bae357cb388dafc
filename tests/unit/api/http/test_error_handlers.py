"""Exceptions that no code expects, as responses of a Falcon application."""

import falcon
import pytest
from falcon.testing import TestClient

from api.http.error_handlers import install_error_handlers
from api.http.request_log import RequestLog

SECRET = "words that no client may read"


class Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError(SECRET), 500, "INTERNAL_ERROR"),
        (KeyError(SECRET), 500, "INTERNAL_ERROR"),
        (falcon.HTTPInternalServerError(), 500, "INTERNAL_ERROR"),
        (falcon.HTTPBadGateway(), 502, "INTERNAL_ERROR"),
        (falcon.HTTPNotFound(), 404, "NOT_FOUND"),
        (falcon.HTTPConflict(), 409, "CONFLICT"),
        (falcon.HTTPGone(), 410, "BAD_REQUEST"),
        (falcon.HTTPUnsupportedMediaType(), 415, "BAD_REQUEST"),
        (falcon.HTTPInvalidHeader("no", "X"), 400, "BAD_REQUEST"),
        (falcon.HTTPServiceUnavailable(), 503, "INTERNAL_ERROR"),
    ],
)
def test_every_exception_has_the_envelope(error: Exception, status: int, code: str) -> None:
    app = falcon.App(middleware=[RequestLog()])
    install_error_handlers(app)
    app.add_route("/", Failing(error))
    answer = TestClient(app).simulate_get("/")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["error"] == {
        "code": code,
        "message": answer.json["detail"],
        "status": status,
        "details": None,
    }
    assert answer.json["detail"]
    assert answer.json["retryable"] == (status == 503)
    assert SECRET not in answer.text
