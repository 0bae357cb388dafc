"""Rotation, import and tenants of API keys over HTTP, and that no response or log has a token."""

import hashlib
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import pytest
from falcon.testing import Result, TestClient
from structlog.testing import capture_logs

from api.app import create_app
from pipeline.service import Service, Settings
from tests.integration.console_visitor import Visitor
from tests.waiting import wait_for

IMPORTED = "sk_live_7Qm2ZxV9bT4nKc8LwR3yHs6JdF1gPe5A"


@pytest.fixture
def imported(operator: TestClient) -> dict[str, Any]:
    body = {"name": "shop", "token": IMPORTED, "per_minute": 9}
    answer = operator.simulate_post("/keys/import/", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json
    return made


def with_token(service: Service, settings: Settings, token: str) -> TestClient:
    return TestClient(create_app(service, settings), headers={"X-API-Key": token})


def keys_of(operator: TestClient) -> dict[str, dict[str, Any]]:
    return {key["key_id"]: key for key in operator.simulate_get("/keys/").json["keys"]}


def test_an_imported_token_is_a_key(
    operator: TestClient, service: Service, settings: Settings, imported: dict[str, Any]
) -> None:
    assert (imported["imported"], imported["tenant"]) == (True, imported["key_id"])
    client = with_token(service, settings, IMPORTED)
    answer = client.simulate_get("/qr/bulk/")
    assert (answer.status_code, answer.headers["ratelimit-limit"]) == (200, "9")
    assert keys_of(operator)[imported["key_id"]]["imported"]
    operator.simulate_delete(f"/keys/{imported['key_id']}/")
    assert client.simulate_get("/qr/bulk/").status_code == 401


def test_a_token_is_imported_once(operator: TestClient, imported: dict[str, Any]) -> None:
    again = operator.simulate_post("/keys/import/", json={"name": "x", "token": IMPORTED})
    assert (again.status_code, again.json["error_code"]) == (409, "not_possible")
    assert imported["key_id"] in again.json["detail"]
    assert IMPORTED not in again.text


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "token": "a" * 40},
        {"name": "x", "token": IMPORTED[:31]},
        {"name": "x", "token": f"{IMPORTED} {IMPORTED}"},
        {"name": "x", "token": f"qrmill_{IMPORTED}"},
        {"name": "x", "token": [IMPORTED]},
        {"name": "x", "token": {"token": IMPORTED}},
        {"name": "x", "token": 12345678901234567890123456789012},
        {"name": "", "token": IMPORTED},
        {"token": IMPORTED},
        {"name": "x", "tokens": IMPORTED},
        {"name": "x", "token": IMPORTED, "role": "boss"},
        {"name": "x", "token": IMPORTED, "tenant": IMPORTED},
        {"name": "x", "token": IMPORTED, "expires_in_days": 0},
        {"name": IMPORTED * 3, "token": IMPORTED},
        {"name": "x", "token": IMPORTED, "tenant": IMPORTED * 3},
        [IMPORTED],
        IMPORTED,
    ],
)
def test_a_refused_import_quotes_no_token(operator: TestClient, body: Any) -> None:  # noqa: ANN401
    with capture_logs() as lines:
        answer = operator.simulate_post("/keys/import/", json=body)
    assert answer.status_code == 422, answer.text
    secrets = [IMPORTED, IMPORTED[:31], "a" * 40, "1234567890123456"]
    for text in (answer.text, str(lines)):
        assert not [secret for secret in secrets if secret in text]
    assert len(keys_of(operator)) == 1


def test_an_operators_imported_token_signs_in_to_the_console(
    operator: TestClient, service: Service, settings: Settings
) -> None:
    body = {"name": "ops", "role": "operator", "token": IMPORTED}
    made = operator.simulate_post("/keys/import/", json=body).json
    visitor = Visitor(create_app(service, settings))
    with capture_logs() as lines:
        assert visitor.sign_in(IMPORTED).status_code == 303
        pages = [visitor.get(path) for path in ("/ops/", "/ops/jobs", f"/ops/{IMPORTED}")]
    assert [page.status_code for page in pages] == [200, 200, 404]
    for text in (str(lines), *(page.text for page in pages), str(visitor.cookies)):
        assert IMPORTED not in text
    service.api_keys.rotate(made["key_id"], 0)
    assert visitor.get("/ops/").status_code == 303


def test_a_token_in_a_path_is_neither_logged_nor_sent_back(
    operator: TestClient, client: TestClient, token: str, imported: dict[str, Any]
) -> None:
    assert imported
    paths = ("/keys/{}/", "/keys/{}/rotate/", "/keys/{}/webhook-secret/", "/qr/bulk/{}/", "/{}")
    for secret in (IMPORTED, token, "Zm9vYmFyYmF6cXV4/Zm9vYmFyYmF6cXV4+w=="):
        for path in paths:
            for caller, method in ((operator, "DELETE"), (operator, "POST"), (client, "GET")):
                with capture_logs() as lines:
                    answer = caller.simulate_request(method, path.format(secret), json={})
                assert answer.status_code >= 400
                hidden = secret.rpartition("_")[2] if secret == token else secret
                for part in hidden.split("/"):
                    assert part not in answer.text
                    assert part not in str(lines)


def test_a_rotation_says_which_key_ends_when(
    operator: TestClient, service: Service, settings: Settings
) -> None:
    body = {"name": "shop", "per_minute": 7, "per_day": 8, "expires_in_days": 30}
    made = operator.simulate_post("/keys/", json=body).json
    answer = operator.simulate_post(f"/keys/{made['key_id']}/rotate/", json={"days": 2})
    assert answer.status_code == 201
    new, former = answer.json, answer.json["former"]
    soon = datetime.now(UTC) + timedelta(days=2)
    assert abs(datetime.fromisoformat(former["expires_at"]) - soon) < timedelta(minutes=5)
    assert (former["key_id"], former["revoked_at"]) == (made["key_id"], None)
    assert (new["expires_at"], new["name"], new["per_minute"]) == (None, "shop", 7)
    assert (new["tenant"], new["tenant_name"]) == (made["key_id"], "shop")
    for each in (made, new):
        client = with_token(service, settings, each["api_key"])
        assert client.simulate_get("/qr/bulk/").status_code == 200
    assert "api_key" not in former


def refused(answer: Result, status: HTTPStatus, code: str) -> str:
    assert (answer.status_code, answer.json["error_code"]) == (status, code)
    return str(answer.json["detail"])


def test_what_cannot_be_rotated_is_told(operator: TestClient) -> None:
    key_id = operator.simulate_post("/keys/", json={"name": "x"}).json["key_id"]
    path = f"/keys/{key_id}/rotate/"
    for days in (-1, 366, 1.5, "7", None):
        wrong = operator.simulate_post(path, json={"days": days})
        refused(wrong, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request")
        assert wrong.json["errors"][0]["pointer"] == "/days"
    assert keys_of(operator)[key_id]["expires_at"] is None
    unknown = operator.simulate_post(f"/keys/{'0' * 12}/rotate/", json={})
    assert "'000000000000'" in refused(unknown, HTTPStatus.NOT_FOUND, "not_found")
    operator.simulate_delete(f"/keys/{key_id}/")
    detail = refused(operator.simulate_post(path, json={}), HTTPStatus.CONFLICT, "not_possible")
    # The detail says how to go on, and that works.
    assert f"tenant {key_id}" in detail
    another = operator.simulate_post("/keys/", json={"name": "y", "tenant": key_id})
    assert another.json["tenant"] == key_id


@pytest.mark.parametrize("tenant", ["nobody", "0" * 12, IMPORTED, 'a "quoted" <name>'])
def test_a_key_of_an_unknown_tenant_is_refused(operator: TestClient, tenant: str) -> None:
    answer = operator.simulate_post("/keys/", json={"name": "x", "tenant": tenant})
    refused(answer, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request")
    (violation,) = answer.json["errors"]
    assert (violation["pointer"], violation["code"]) == ("/tenant", "unknown_tenant")
    assert IMPORTED not in answer.text
    assert len(keys_of(operator)) == 1


def test_the_list_has_the_day_of_the_last_use(
    operator: TestClient, client: TestClient, token: str, operator_token: str
) -> None:
    before = datetime.now(UTC).date().isoformat()
    unused = operator.simulate_post("/keys/", json={"name": "unused"}).json["key_id"]
    client.simulate_get("/qr/bulk/")
    used = [sent.split("_")[1] for sent in (token, operator_token)]

    def days(*key_ids: str) -> set[str | None]:
        found = keys_of(operator)
        return {found[key_id]["last_used_at"] for key_id in key_ids}

    wait_for(lambda: None not in days(*used), "both uses")
    assert days(*used) <= {before, datetime.now(UTC).date().isoformat()}
    assert days(unused) == {None}
    assert operator.simulate_delete(f"/keys/{unused}/").json["last_used_at"] is None


def test_a_wrong_key_is_told_that_it_may_have_expired(service: Service, settings: Settings) -> None:
    made = service.api_keys.create(name="x", role="client")
    service.api_keys.rotate(made.key.key_id, 0)
    for token in (made.token, hashlib.sha256(b"x").hexdigest()):
        answer = with_token(service, settings, token).simulate_get("/qr/bulk/")
        assert "expired" in refused(answer, HTTPStatus.UNAUTHORIZED, "unauthorized")
