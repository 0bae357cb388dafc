"""Two keys: what one does touches nothing of the other's, and neither sees the other's jobs."""

import uuid

import pytest
from falcon.testing import Result, TestClient

from api.app import create_app
from pipeline.service import Service, Settings

GTIN = "9506000134352"


@pytest.fixture
def another(service: Service, settings: Settings) -> TestClient:
    token = service.api_keys.create(name="another", role="client").token
    return TestClient(create_app(service, settings), headers={"X-API-Key": token})


def post(client: TestClient, **headers: str) -> Result:
    body = {"gtin": GTIN, "items": [{}] * 25}
    return client.simulate_post("/qr/bulk/", json=body, headers=headers)


def told(answer: Result, task_id: str) -> tuple[int, str, dict[str, str]]:
    """An answer without what differs between any two requests."""
    request_id = answer.headers["x-request-id"]
    text = answer.text.replace(request_id, "").replace(task_id, "")
    if answer.text:
        text = text.replace(answer.json["timestamp"], "")
    own = {"x-request-id", "content-length", "ratelimit-remaining", "x-ratelimit-remaining"}
    own |= {"ratelimit-reset", "x-ratelimit-reset"}
    return answer.status_code, text, {k: v for k, v in answer.headers.items() if k not in own}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("HEAD", ""), ("DELETE", ""), ("GET", "chunks/"), ("POST", "retry/")],
)
@pytest.mark.parametrize("prefer", ["", "wait=20"])
def test_another_keys_job_answers_like_none_at_every_path(
    client: TestClient, another: TestClient, method: str, path: str, prefer: str
) -> None:
    accepted = post(client).json
    etag = client.simulate_get(accepted["poll_url"]).headers["etag"]
    unknown = str(uuid.uuid4())
    headers = {"If-None-Match": etag, "Prefer": prefer}
    theirs, nobodys = (
        told(
            another.simulate_request(method, f"/qr/bulk/{task_id}/{path}", headers=headers), task_id
        )
        for task_id in (accepted["task_id"], unknown)
    )
    assert theirs == nobodys
    assert theirs[0] == 404
    assert client.simulate_get(accepted["poll_url"]).json["status"] == "pending"


def test_an_idempotency_key_is_its_api_keys_own(client: TestClient, another: TestClient) -> None:
    header = {"Idempotency-Key": "the same"}
    mine, theirs = post(client, **header), post(another, **header)
    assert mine.json["task_id"] != theirs.json["task_id"]
    assert "idempotency-replayed" not in theirs.headers
    assert post(client, **header).json["task_id"] == mine.json["task_id"]


def test_a_list_and_its_cursors_show_no_job_of_another_key(
    client: TestClient, another: TestClient
) -> None:
    mine = {post(client).json["task_id"] for _ in range(3)}
    page = client.simulate_get("/qr/bulk/", params={"limit": 1}).json
    assert page["tasks"][0]["task_id"] in mine
    for query in ({}, {"cursor": page["next_cursor"]}, {"status": "pending"}, {"gtin": GTIN}):
        assert another.simulate_get("/qr/bulk/", params=query).json["tasks"] == []


def test_the_load_of_one_key_is_not_counted_against_another(
    client: TestClient, another: TestClient, service: Service, settings: Settings
) -> None:
    token = service.api_keys.create(name="eager", role="client", per_minute=3).token
    eager = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    path = f"/qr/bulk/{uuid.uuid4()}/"
    before = int(another.simulate_get(path).headers["ratelimit-remaining"])
    statuses = [eager.simulate_get(path).status_code for _ in range(6)]
    assert statuses == [404, 404, 404, 429, 429, 429]
    assert int(another.simulate_get(path).headers["ratelimit-remaining"]) == before - 1
    assert client.simulate_get(path).status_code == 404
