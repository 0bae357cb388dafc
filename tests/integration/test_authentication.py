"""An API key as X-API-Key and as a bearer token, over real keys and real counters."""

import pytest
from falcon.testing import Result, TestClient

from api.app import create_app
from api.http.authentication import CHALLENGES
from pipeline.service import Service, Settings

GTIN = "9506000134352"


@pytest.fixture
def nobody(service: Service, settings: Settings) -> TestClient:
    return TestClient(create_app(service, settings))


def assert_unauthorized(answer: Result) -> str:
    assert answer.status_code == 401
    assert (answer.json["error_code"], answer.json["error"]["code"]) == (
        "unauthorized",
        "UNAUTHORIZED",
    )
    assert answer.headers["www-authenticate"] == CHALLENGES
    assert "ratelimit-remaining" not in answer.headers
    detail: str = answer.json["detail"]
    return detail


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER  "])
def test_a_bearer_token_is_the_same_key(nobody: TestClient, token: str, scheme: str) -> None:
    bearer = {"Authorization": f"{scheme} {token}"}
    body = {"gtin": GTIN, "items": [{}]}
    accepted = nobody.simulate_post("/qr/bulk/", json=body, headers=bearer)
    assert accepted.status_code == 202
    polls = [
        nobody.simulate_get(accepted.json["poll_url"], headers=headers)
        for headers in (bearer, {"X-API-Key": token}, {"X-API-Key": token, **bearer})
    ]
    assert [answer.status_code for answer in polls] == [200, 200, 200]
    # All requests count against the same key.
    first = int(accepted.headers["ratelimit-remaining"])
    assert int(polls[-1].headers["ratelimit-remaining"]) == first - 3


def test_a_key_has_its_rate_and_its_role_with_either_header(
    nobody: TestClient, service: Service, token: str, operator_token: str
) -> None:
    for own, status in ((operator_token, 200), (token, 403)):
        bearer = {"Authorization": f"Bearer {own}"}
        assert nobody.simulate_get("/keys/", headers=bearer).status_code == status
    slow = service.api_keys.create(name="slow", role="client", per_minute=2).token
    headers = [{"Authorization": f"Bearer {slow}"}, {"X-API-Key": slow}] * 2
    answers = [nobody.simulate_get("/qr/bulk/", headers=each) for each in headers]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert answers[-1].json["error"]["code"] == "RATE_LIMITED"
    assert answers[-1].json["retryable"] is True


def test_two_different_keys_are_refused_although_both_work(
    nobody: TestClient, service: Service, token: str
) -> None:
    other = service.api_keys.create(name="other", role="client").token
    for key, bearer in ((token, other), (other, token), (token, ""), ("", token), (token, "x")):
        headers = {"X-API-Key": key, "Authorization": f"Bearer {bearer}"}
        detail = assert_unauthorized(nobody.simulate_get("/qr/bulk/", headers=headers))
        assert "different API keys" in detail
        assert not any(each in detail for each in (token, other))


@pytest.mark.parametrize("scheme", ["Basic", "ApiKey", "Digest", "Token", "Bearer:"])
def test_another_scheme_is_no_key(nobody: TestClient, token: str, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {token}"}
    answer = nobody.simulate_get("/qr/bulk/", headers=headers)
    assert "has no API key" in assert_unauthorized(answer)
    headers["X-API-Key"] = token
    assert nobody.simulate_get("/qr/bulk/", headers=headers).status_code == 200


def test_an_unknown_bearer_token_is_refused_like_an_unknown_key(nobody: TestClient) -> None:
    unknown = "qrmill_000000000000_" + "A" * 38
    details = [
        assert_unauthorized(nobody.simulate_get("/qr/bulk/", headers=headers))
        for headers in (
            {"X-API-Key": unknown},
            {"Authorization": f"Bearer {unknown}"},
            {"Authorization": f"Bearer {unknown} {unknown}"},
            {"Authorization": "Bearer ü"},
        )
    ]
    assert len({*details}) == 1


def test_caches_keep_the_images_of_different_keys_apart(nobody: TestClient, token: str) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    answer = nobody.simulate_post("/qr/", json={"gtin": GTIN}, headers=headers)
    vary = {name.strip().lower() for name in answer.headers["vary"].split(",")}
    assert (answer.status_code, vary >= {"x-api-key", "authorization"}) == (200, True)
    headers["If-None-Match"] = answer.headers["etag"]
    assert nobody.simulate_post("/qr/", json={"gtin": GTIN}, headers=headers).status_code == 304
