"""What the API answers, over a real Redis and a real S3."""

import json
import time
import uuid
from http import HTTPStatus
from typing import Any

import pytest
import redis
from falcon.testing import Result, TestClient

from api.app import create_app
from pipeline.service import Bundle, Service, Settings, open_service
from pipeline.storage.bucket import Bucket
from tests.staged import BUNDLE_TIMES

GTIN = "9506000134352"


def post(client: TestClient, **fields: Any) -> Result:  # noqa: ANN401 - any JSON
    return client.simulate_post("/qr/bulk/", json={"gtin": GTIN, "items": [{}], **fields})


def assert_problem(answer: Result, status: HTTPStatus, code: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    assert set(problem) >= {"type", "title", "status", "detail", "instance", "error_code"}
    assert (problem["status"], problem["error_code"]) == (status, code)
    assert problem["instance"] == answer.headers["x-request-id"]
    return problem


def test_a_request_is_accepted_before_anything_is_rendered(client: TestClient) -> None:
    answer = post(client, items=[{"serial": str(index)} for index in range(25)])
    assert answer.status_code == 202
    assert set(answer.json) == {"task_id", "status", "items", "poll_url"}
    assert uuid.UUID(answer.json["task_id"]).version == 4
    assert (answer.json["status"], answer.json["items"]) == ("pending", 25)
    assert answer.json["poll_url"] == f"/qr/bulk/{answer.json['task_id']}/"
    assert answer.headers["location"] == answer.json["poll_url"]
    assert int(answer.headers["retry-after"]) >= 1


def test_a_poll_of_a_job_that_waits_says_so(client: TestClient) -> None:
    accepted = post(client, items=[{}] * 25).json
    answer = client.simulate_get(accepted["poll_url"])
    assert answer.status_code == 200
    expected = {
        "task_id": accepted["task_id"],
        "status": "pending",
        "download_url": None,
        "expires_at": None,
        "items": None,
        "error": None,
        "error_code": None,
        "processed_items": 0,
        "total_items": 25,
        "progress_percent": 0.0,
        "chunks": {"total": 3, "staged": 0, "failed": 0},
        "finished_at": None,
        "bundle": None,
    }
    assert {name: answer.json[name] for name in expected} == expected
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize("prefix", ["", "/products/api/v1"])
def test_paths_answer_with_and_without_slash_and_below_a_prefix(
    settings: Settings, token: str, prefix: str, slash: str
) -> None:
    changed = Settings(**{**_fields(settings), "api_prefix": prefix})
    client = TestClient(create_app(open_service(changed), changed), headers={"X-API-Key": token})
    accepted = client.simulate_post(f"{prefix}/qr/bulk{slash}", json={"gtin": GTIN, "items": [{}]})
    assert accepted.json["poll_url"] == f"{prefix}/qr/bulk/{accepted.json['task_id']}/"
    poll_url = f"{prefix}/qr/bulk/{accepted.json['task_id']}{slash}"
    assert client.simulate_get(poll_url).status_code == 200
    assert client.simulate_get(f"{prefix}/openapi.json").status_code == 200


def _fields(settings: Settings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__struct_fields__}


def contents(redis_url: str, *buckets: Bucket) -> set[str]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        in_redis = {key for key in connection.keys("*") if "rates" not in key}
    in_s3 = {key for bucket in buckets for key in bucket.list_keys("")}
    # What is written of a request that is refused too: its rate, and the day of its key's use.
    return in_redis | {key for key in in_s3 if not key.startswith("key-marks/")}


def test_a_request_with_three_bad_items_leaves_nothing(
    client: TestClient, redis_url: str, bucket: Bucket, staging_bucket: Bucket
) -> None:
    before = contents(redis_url, bucket, staging_bucket)
    items = [{"serial": f"{index:05}"} for index in range(5000)]
    for index in (3, 2000, 4998):
        items[index]["serial"] = "bad serial"
    problem = assert_problem(
        post(client, items=items), HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request"
    )
    assert [row["pointer"] for row in problem["errors"]] == [
        "/items/3/serial",
        "/items/2000/serial",
        "/items/4998/serial",
    ]
    assert problem["errors_total"] == 3
    assert contents(redis_url, bucket, staging_bucket) == before


def test_at_most_100_bad_values_are_listed_and_all_are_counted(client: TestClient) -> None:
    problem = post(client, items=[{"lot": "a b"}] * 250).json
    assert (len(problem["errors"]), problem["errors_total"]) == (100, 250)


def test_without_a_key_nothing_answers_but_what_is_public(
    service: Service, settings: Settings
) -> None:
    nobody = TestClient(create_app(service, settings))
    task = f"/qr/bulk/{uuid.uuid4()}/"
    for method, path in [
        ("POST", "/qr/bulk/"),
        ("GET", task),
        ("GET", "/keys/"),
        ("GET", "/nothing"),
        ("GET", "/healthzz"),
        ("GET", "/docsx"),
        ("OPTIONS", "/qr/bulk/"),
        ("GET", "/openapi.json/x"),
    ]:
        answer = nobody.simulate_request(method, path)
        assert_problem(answer, HTTPStatus.UNAUTHORIZED, "unauthorized")
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/docs/swagger-ui.css"):
        assert nobody.simulate_get(path).status_code == 200


@pytest.mark.parametrize("wrong", ["", "x", "qrmill_000000000000_" + "A" * 38, "ü"])
def test_an_unknown_key_is_refused(service: Service, settings: Settings, wrong: str) -> None:
    client = TestClient(create_app(service, settings), headers={"X-API-Key": wrong})
    assert_problem(client.simulate_get("/keys/"), HTTPStatus.UNAUTHORIZED, "unauthorized")


def test_another_keys_task_looks_like_none(
    client: TestClient, operator: TestClient, service: Service, settings: Settings
) -> None:
    task_id = post(client).json["task_id"]
    other_token = service.api_keys.create(name="other", role="client").token
    other = TestClient(create_app(service, settings), headers={"X-API-Key": other_token})
    unknown = str(uuid.uuid4())
    headers = {"X-Request-ID": "same"}
    theirs = other.simulate_get(f"/qr/bulk/{task_id}/", headers=headers)
    none = other.simulate_get(f"/qr/bulk/{unknown}/", headers=headers)
    assert_problem(theirs, HTTPStatus.NOT_FOUND, "not_found")
    for answer in (theirs, none):
        assert answer.json["timestamp"]
    assert [
        answer.text.replace(own, "").replace(answer.json["timestamp"], "")
        for answer, own in ((theirs, task_id), (none, unknown))
    ] == [theirs.text.replace(task_id, "").replace(theirs.json["timestamp"], "")] * 2
    assert operator.simulate_get(f"/qr/bulk/{task_id}/").status_code == 200


@pytest.mark.parametrize("task_id", ["abc", "7d2a4f0e6c1b4a399d0e2f5c8b1a7e63", "0", "%00", "-"])
def test_a_malformed_task_id_is_422(client: TestClient, task_id: str) -> None:
    answer = client.simulate_get(f"/qr/bulk/{task_id}/")
    assert_problem(answer, HTTPStatus.UNPROCESSABLE_ENTITY, "malformed_task_id")


def test_http_errors_are_problems_too(client: TestClient) -> None:
    wrong_method = client.simulate_patch("/qr/bulk/")
    assert_problem(wrong_method, HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed")
    assert "POST" in wrong_method.headers["allow"]
    assert_problem(client.simulate_get("/nothing"), HTTPStatus.NOT_FOUND, "not_found")
    html = {"Accept": "text/html"}
    for answer in (
        client.simulate_get(f"/qr/bulk/{uuid.uuid4()}/", headers=html),
        client.simulate_post("/qr/bulk/", json={}, headers=html),
    ):
        assert_problem(answer, HTTPStatus.NOT_ACCEPTABLE, "not_acceptable")
    form = client.simulate_post("/qr/bulk/", body="gtin=1", content_type="text/plain")
    assert_problem(form, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
    broken = client.simulate_post("/qr/bulk/", body="{", content_type="application/json")
    assert_problem(broken, HTTPStatus.BAD_REQUEST, "malformed_json")


def test_head_answers_like_get_without_a_body(client: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs", post(client).json["poll_url"]):
        answer = client.simulate_head(path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_every_answer_has_a_request_id_the_clients_own_if_it_is_plain(client: TestClient) -> None:
    def sent(given: str) -> str:
        answer = client.simulate_get("/healthz", headers={"X-Request-ID": given})
        return str(answer.headers["x-request-id"])

    assert sent("order-7.1_a") == "order-7.1_a"
    for odd in ("", "a b", "x" * 65, "ü", '"'):
        assert uuid.UUID(sent(odd)).version == 4


def test_the_standing_of_a_key_is_on_every_answer(client: TestClient) -> None:
    first, second = post(client), client.simulate_get("/nothing")
    assert first.headers["ratelimit-policy"] == "300;w=60, 10000;w=86400"
    assert first.headers["ratelimit-limit"] == first.headers["x-ratelimit-limit"] == "300"
    assert (first.headers["ratelimit-remaining"], second.headers["ratelimit-remaining"]) == (
        "299",
        "298",
    )
    assert 0 < int(first.headers["ratelimit-reset"]) <= 60
    assert 0 <= int(first.headers["x-ratelimit-reset"]) - time.time() <= 61
    assert second.headers["x-ratelimit-remaining"] == "298"


def test_over_its_rate_a_key_is_refused_and_no_other(
    service: Service, settings: Settings, client: TestClient
) -> None:
    token = service.api_keys.create(name="few", role="client", per_minute=2, per_day=9).token
    few = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    assert [post(few).status_code for _ in range(3)] == [202, 202, 429]
    refused = post(few)
    problem = assert_problem(refused, HTTPStatus.TOO_MANY_REQUESTS, "over_rate")
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit-remaining"] == "0"
    assert refused.headers["ratelimit-policy"] == "2;w=60, 9;w=86400"
    assert "2 requests per minute" in problem["detail"]
    assert post(client).status_code == 202


def test_the_day_is_the_tighter_window_when_less_is_left_of_it(
    service: Service, settings: Settings
) -> None:
    token = service.api_keys.create(name="few", role="client", per_minute=50, per_day=2).token
    few = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    first = few.simulate_get("/nothing")
    assert (first.headers["ratelimit-limit"], first.headers["ratelimit-remaining"]) == ("2", "1")
    few.simulate_get("/nothing")
    refused = few.simulate_get("/nothing")
    problem = assert_problem(refused, HTTPStatus.TOO_MANY_REQUESTS, "over_rate")
    assert "2 requests per day" in problem["detail"]
    assert int(refused.headers["retry-after"]) > 60


def test_keys_are_made_listed_and_revoked_by_operators_alone(
    operator: TestClient, client: TestClient, service: Service, settings: Settings
) -> None:
    for answer in (
        client.simulate_post("/keys/", json={"name": "x"}),
        client.simulate_get("/keys/"),
        client.simulate_delete(f"/keys/{'0' * 12}/"),
    ):
        assert_problem(answer, HTTPStatus.FORBIDDEN, "forbidden")
    made = operator.simulate_post("/keys/", json={"name": "new", "per_minute": 7})
    assert made.status_code == 201
    token, key_id = made.json["api_key"], made.json["key_id"]
    fresh = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    assert post(fresh).headers["ratelimit-limit"] == "7"
    listed = operator.simulate_get("/keys/").json["keys"]
    assert {key["name"] for key in listed} == {"client", "operator", "new"}
    assert token not in json.dumps(listed)
    revoked = operator.simulate_delete(f"/keys/{key_id}/")
    assert revoked.json["revoked_at"] is not None
    assert_problem(post(fresh), HTTPStatus.UNAUTHORIZED, "unauthorized")
    unknown = operator.simulate_delete(f"/keys/{'0' * 12}/")
    assert_problem(unknown, HTTPStatus.NOT_FOUND, "not_found")
    wrong = operator.simulate_post("/keys/", json={"role": "boss", "rate": 1})
    problem = assert_problem(wrong, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request")
    assert {row["pointer"] for row in problem["errors"]} == {"/name", "/role", "/rate"}


@pytest.mark.parametrize(
    "away", [{"redis_url": "redis://127.0.0.1:1/0"}, {"s3_endpoint_url": "http://127.0.0.1:1"}]
)
def test_when_a_part_is_away_nothing_is_accepted(
    settings: Settings,
    service: Service,
    redis_url: str,
    bucket: Bucket,
    away: dict[str, str],
) -> None:
    made = service.api_keys.create(name="x", role="client")
    changed = Settings(**{**_fields(settings), **away})
    lame = open_service(changed)
    if "redis_url" not in away:
        lame = lame._replace(api_keys=service.api_keys)
    client = TestClient(create_app(lame, changed), headers={"X-API-Key": made.token})
    before = contents(redis_url, bucket)
    answer = post(client)
    assert_problem(answer, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert contents(redis_url, bucket) == before
    ready = client.simulate_get("/readyz")
    assert ready.status_code == 503
    assert ready.json["unavailable"] == (["redis"] if "redis_url" in away else ["s3", "s3_staging"])
    assert client.simulate_get("/healthz").status_code == 200


def test_download_urls_have_the_address_that_clients_see(
    settings: Settings, service: Service
) -> None:
    public = {"s3_public_endpoint_url": "https://files.example", "download_url_ttl": 9}
    changed = Settings(**{**_fields(settings), **public})
    expires_at = int(time.time()) + 86_400
    bundle = Bundle(bytes=1, sha256="00", expires_at=expires_at, times=BUNDLE_TIMES)
    seen = open_service(changed).downloads.sign("task", bundle)
    assert seen.url.startswith(f"https://files.example/{settings.bucket}/jobs/task/bundle.zip?")
    assert "X-Amz-Expires=9" in seen.url
    assert 0 <= seen.expires_at - time.time() <= 9
    inside = service.downloads.sign("task", bundle).url
    assert inside.startswith(f"{settings.s3_endpoint_url}/")
    late = Bundle(bytes=1, sha256="00", expires_at=int(time.time()) + 5, times=BUNDLE_TIMES)
    assert service.downloads.sign("task", late).expires_at <= late.expires_at


def test_a_body_over_the_limit_is_refused(settings: Settings, token: str) -> None:
    changed = Settings(**{**_fields(settings), "max_body_bytes": 1024})
    client = TestClient(create_app(open_service(changed), changed), headers={"X-API-Key": token})
    long = client.simulate_post("/qr/bulk/", body=b" " * 1025, content_type="application/json")
    assert_problem(long, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large")


def test_the_document_describes_every_route_and_its_types(client: TestClient) -> None:
    document = client.simulate_get("/openapi.json").json
    assert document["openapi"].startswith("3.1")
    assert set(document["paths"]) == {
        "/qr/",
        "/qr/bulk/",
        "/qr/bulk/{task_id}/",
        "/qr/bulk/{task_id}/chunks/",
        "/qr/bulk/{task_id}/retry/",
        "/keys/",
        "/keys/import/",
        "/keys/{key_id}/",
        "/keys/{key_id}/rotate/",
        "/keys/{key_id}/webhook-secret/",
        "/healthz",
        "/readyz",
    }
    text = json.dumps(document)
    for reference in text.split('"$ref": "#/')[1:]:
        node = document
        for name in reference.split('"')[0].split("/"):
            node = node[name]
