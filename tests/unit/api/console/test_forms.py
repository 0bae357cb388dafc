"""Forms of the console: the tokens that a visitor can sign, and bodies that do not arrive."""

import io
import socket
from typing import Any

import falcon
import pytest
from falcon.testing import create_environ
from itsdangerous import URLSafeTimedSerializer

from api.console import forms as ops_forms
from api.console.forms import TOKEN_FIELD, check_token, issue_token, read_form
from api.http.deadlines import BodyDeadline
from api.http.problems import ProblemError
from api.http.request_bodies import BodyReader

VISIT = "chosen by the visitor"
SIGNER = URLSafeTimedSerializer(VISIT, salt="qrmill.console.form")


def status_of(token: str) -> int:
    with pytest.raises(ProblemError) as caught:
        check_token(VISIT, {TOKEN_FIELD: [token]})
    return caught.value.status


def test_a_token_of_ours_tells_its_nonce() -> None:
    token = issue_token(VISIT)
    assert len(token) <= ops_forms._LONGEST
    assert len(check_token(VISIT, {TOKEN_FIELD: [token]})) == 16


@pytest.mark.parametrize(
    "payload", ["", "n" * 15, "n" * 17, "n" * 15 + ":", "ü" * 16, 5, None, ["n" * 16], {"n": 1}]
)
def test_what_a_visitor_signed_is_no_nonce_unless_it_looks_like_ours(payload: Any) -> None:  # noqa: ANN401 - any JSON
    assert status_of(SIGNER.dumps(payload)) == 403


def test_a_signed_token_that_is_no_json_is_refused() -> None:
    signer = SIGNER.make_signer(SIGNER.salt)
    for payload in (b"AAAA", b"!", b""):
        assert status_of(signer.sign(payload).decode()) == 403


def test_nothing_is_inflated_and_nothing_long_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb, long = SIGNER.dumps("n" * 1_000_000), SIGNER.dumps("".join(map(chr, range(32, 1000))))
    assert bomb.startswith(".")
    assert len(long) > ops_forms._LONGEST
    small = SIGNER.dumps("n" * 60)
    assert small.startswith(".")
    assert len(small) <= ops_forms._LONGEST
    monkeypatch.setattr(URLSafeTimedSerializer, "loads", lambda *_, **__: pytest.fail("was read"))
    assert [status_of(token) for token in (bomb, long, small)] == [403] * 3


class Broken(io.RawIOBase):
    """A connection that the client has cut."""

    def read(self, _size: int = -1) -> bytes:
        raise ConnectionResetError


def request(arriving: io.RawIOBase | io.BufferedReader, **environ: Any) -> falcon.Request:  # noqa: ANN401 - of WSGI
    sent = {"Content-Type": "application/x-www-form-urlencoded"}
    made = create_environ("/ops/sign-in", method="POST", headers=sent)
    return falcon.Request(made | {"wsgi.input": arriving, "CONTENT_LENGTH": "50", **environ})


def test_a_body_that_breaks_off_is_400() -> None:
    with pytest.raises(ProblemError) as caught:
        read_form(BodyReader(BodyDeadline(60)), request(Broken()))
    assert (caught.value.status, caught.value.code) == (400, "short_body")


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    bodies = BodyReader(BodyDeadline(0.2))
    client, server = socket.socketpair()
    with client, server, server.makefile("rb") as arriving:
        client.send(b"form_token=")
        with pytest.raises(ProblemError) as caught:
            read_form(bodies, request(arriving, **{"gunicorn.socket": server}))
    assert (caught.value.status, caught.value.code) == (400, "short_body")
