"""Which API key a request has: X-API-Key, Authorization, both, or none."""

import pytest
from falcon import Request
from falcon.testing import create_environ

from api.http.authentication import CHALLENGES, TWO_KEYS, sent_key
from api.http.problems import ProblemError


def request(**headers: str) -> Request:
    return Request(create_environ(headers={k.replace("_", "-"): v for k, v in headers.items()}))


@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer key",
        "bearer key",
        "BEARER key",
        "beArer    key",
        "  Bearer key\t ",
    ],
)
def test_a_bearer_token_is_a_key(authorization: str) -> None:
    assert sent_key(request(Authorization=authorization)) == "key"
    assert sent_key(request(Authorization=authorization, X_API_Key="key")) == "key"
    with pytest.raises(ProblemError) as raised:
        sent_key(request(Authorization=authorization, X_API_Key="other"))
    assert (raised.value.status, raised.value.detail) == (401, TWO_KEYS)
    assert raised.value.headers == {"WWW-Authenticate": CHALLENGES}
    assert "key\t" not in raised.value.detail


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic key",
        "Digest key",
        "ApiKey key",
        "Bearers key",
        "key",
        "",
        " ",
        "Bearer\tkey",
        "Token",
    ],
)
def test_another_scheme_is_no_key(authorization: str) -> None:
    assert sent_key(request(Authorization=authorization)) is None
    # A proxy in front of the service may have its own authentication.
    assert sent_key(request(Authorization=authorization, X_API_Key="key")) == "key"


@pytest.mark.parametrize(
    ("authorization", "token"),
    [("Bearer", ""), ("Bearer ", ""), ("Bearer a b", "a b"), ("Bearer a,Bearer a", "a,Bearer a")],
)
def test_a_malformed_token_is_no_other_key(authorization: str, token: str) -> None:
    assert sent_key(request(Authorization=authorization)) == token
    with pytest.raises(ProblemError):
        sent_key(request(Authorization=authorization, X_API_Key="a"))


def test_a_request_without_either_header_has_no_key() -> None:
    assert sent_key(request()) is None
    assert sent_key(request(X_API_Key="")) == ""
