"""Limits on items over HTTP: headers, responses, and what does not count."""

from http import HTTPStatus
from typing import Any

import pytest
from falcon.testing import TestClient

from api.app import create_app
from pipeline.errors import StoreUnavailableError
from pipeline.service import Service, Settings
from pipeline.storage.bucket import Bucket
from tests.integration.test_api import assert_problem

GTIN = "9506000134352"
Answer = Any


@pytest.fixture
def limited(service: Service, settings: Settings) -> TestClient:
    """A client that may send 30 items per minute and 50 per day."""
    token = service.api_keys.create(
        name="few", role="client", items_per_minute=30, items_per_day=50
    ).token
    return TestClient(create_app(service, settings), headers={"X-API-Key": token})


def post(client: TestClient, items: int, *, query: str = "", **headers: str) -> Answer:
    body = {"gtin": GTIN, "items": [{"serial": f"{number:04}"} for number in range(items)]}
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.simulate_post(f"/qr/bulk/{query}", json=body, headers=sent)


def items_left(client: TestClient) -> int:
    answer = client.simulate_post("/qr/", json={"gtin": GTIN})
    return int(answer.headers["Items-RateLimit-Remaining"]) + 1


def test_a_key_without_a_limit_has_no_such_headers(client: TestClient) -> None:
    for answer in (post(client, 3), client.simulate_post("/qr/", json={"gtin": GTIN})):
        assert answer.status_code in {200, 202}
        assert not [name for name in answer.headers if name.lower().startswith("items-")]


def test_the_headers_report_the_window_with_the_fewest_items_left(limited: TestClient) -> None:
    answer = post(limited, 10)
    assert answer.status_code == 202
    assert answer.headers["Items-RateLimit-Policy"] == "30;w=60, 50;w=86400"
    assert answer.headers["Items-RateLimit-Limit"] == "30"
    assert answer.headers["Items-RateLimit-Remaining"] == "20"
    assert 0 < int(answer.headers["Items-RateLimit-Reset"]) <= 60
    assert answer.headers["RateLimit-Policy"] == "300;w=60, 10000;w=86400"


def test_over_the_limit_nothing_is_accepted_or_counted(limited: TestClient) -> None:
    assert post(limited, 25).status_code == 202
    refused = post(limited, 6)
    problem = assert_problem(refused, HTTPStatus.TOO_MANY_REQUESTS, "over_item_rate")
    assert "30 items per minute and has 5 left; the request has 6" in problem["detail"]
    assert problem["retryable"] is True
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["Items-RateLimit-Remaining"] == "5"
    assert len(limited.simulate_get("/qr/bulk/").json["tasks"]) == 1
    assert post(limited, 5).status_code == 202


def test_more_items_than_a_window_has_can_never_be_sent(limited: TestClient) -> None:
    problem = assert_problem(post(limited, 31), HTTPStatus.UNPROCESSABLE_ENTITY, "too_many_items")
    assert "30 items per minute, and the request has 31" in problem["detail"]
    assert items_left(limited) == 30


def test_replays_and_dry_runs_do_not_count(limited: TestClient) -> None:
    first = post(limited, 20, Idempotency_Key="order")
    again = post(limited, 20, Idempotency_Key="order")
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    assert again.json["task_id"] == first.json["task_id"]
    assert post(limited, 20, query="?dry_run=true").status_code == 200
    assert items_left(limited) == 10


def test_a_request_that_could_not_be_stored_does_not_count(
    limited: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(Bucket, "put", refuse)
        assert post(limited, 20).status_code == 503
    assert items_left(limited) == 30


def test_a_retry_counts_what_was_not_rendered(limited: TestClient) -> None:
    task_id = post(limited, 20).json["task_id"]
    assert limited.simulate_delete(f"/qr/bulk/{task_id}/").status_code == 200
    assert_problem(
        limited.simulate_post(f"/qr/bulk/{task_id}/retry/"),
        HTTPStatus.TOO_MANY_REQUESTS,
        "over_item_rate",
    )
    assert limited.simulate_get(f"/qr/bulk/{task_id}/").json["error_code"] == "cancelled"
    assert items_left(limited) == 10


def test_a_retry_that_is_not_possible_does_not_count(limited: TestClient) -> None:
    task_id = post(limited, 5).json["task_id"]
    assert limited.simulate_post(f"/qr/bulk/{task_id}/retry/").status_code == 409
    assert items_left(limited) == 25


def refuse(*_: object, **__: object) -> None:
    raise StoreUnavailableError("refused", operation="PutObject")


def test_a_single_symbol_is_one_item(limited: TestClient) -> None:
    assert post(limited, 29).status_code == 202
    assert limited.simulate_post("/qr/", json={"gtin": GTIN}).status_code == 200
    assert_problem(
        limited.simulate_post("/qr/", json={"gtin": GTIN}),
        HTTPStatus.TOO_MANY_REQUESTS,
        "over_item_rate",
    )


def test_the_limits_of_the_service_hold_for_keys_without_one(
    service: Service, settings: Settings, token: str
) -> None:
    service.item_limits._per_minute = 4
    client = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    assert post(client, 4).headers["Items-RateLimit-Policy"] == "4;w=60"
    assert post(client, 1).status_code == 429


def test_operators_set_the_limits_of_a_key(operator: TestClient) -> None:
    made = operator.simulate_post(
        "/keys/", json={"name": "new", "items_per_minute": 7, "items_per_day": 9}
    ).json
    assert (made["items_per_minute"], made["items_per_day"]) == (7, 9)
    listed = {key["key_id"]: key for key in operator.simulate_get("/keys/").json["keys"]}
    assert listed[made["key_id"]]["items_per_day"] == 9
    negative = operator.simulate_post("/keys/", json={"name": "new", "items_per_day": -1})
    assert negative.status_code == 422
