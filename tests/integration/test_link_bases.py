"""``link_base``: an operator sets the bases of a key, and a request chooses one of them."""

import io
import json
import zipfile
from collections.abc import Iterator

import msgspec
import pytest
import redis
import zxingcpp
from falcon.testing import Result, TestClient
from PIL import Image

from api.app import create_app
from pipeline.ledger import keys as ledger_keys
from pipeline.service import Service, Settings, SettingsError, check_up
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.integration.conftest import StartWorker
from tests.integration.test_restore import end_of, retry

FIRST, SECOND = "https://id.example.com", "https://example.org/gtin"
GTIN = "9506000134352"
ITEM = {"serial": "A1"}
BODY = {"gtin": GTIN, "items": [ITEM]}


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as found:
        yield found


@pytest.fixture
def made(operator: TestClient) -> dict[str, str]:
    """A key with two bases, one created and one imported in its tenant, and one rotated."""
    body = {"name": "brand", "link_bases": [FIRST, SECOND]}
    created = operator.simulate_post("/keys/", json=body)
    assert (created.status_code, created.json["link_bases"]) == (201, [FIRST, SECOND])
    token = "sk_live_7Qm2ZxV9bT4nKc8LwR3yHs6JdF1gPe5A"
    imported = operator.simulate_post("/keys/import/", json={**body, "token": token})
    assert imported.json["link_bases"] == [FIRST, SECOND]
    rotated = operator.simulate_post(f"/keys/{created.json['key_id']}/rotate/", json={})
    assert rotated.json["link_bases"] == rotated.json["former"]["link_bases"] == [FIRST, SECOND]
    listed = operator.simulate_get("/keys/").json["keys"]
    assert [key["link_bases"] for key in listed if key["name"] == "brand"] == [[FIRST, SECOND]] * 3
    assert {len(key["link_bases"]) for key in listed} == {0, 2}
    return {
        "created": created.json["api_key"],
        "imported": token,
        "rotated": rotated.json["api_key"],
    }


@pytest.fixture
def brand(service: Service, settings: Settings, made: dict[str, str]) -> TestClient:
    app = create_app(service, settings)
    responses = {
        name: uri_of(TestClient(app, headers={"X-API-Key": token})) for name, token in made.items()
    }
    assert responses == dict.fromkeys(made, f"{FIRST}/01/0{GTIN}/21/A1")
    return TestClient(app, headers={"X-API-Key": made["rotated"]})


def uri_of(client: TestClient, **fields: str) -> str:
    body = {"gtin": GTIN, **ITEM, **fields}
    response = client.simulate_post("/qr/", json=body)
    assert response.status_code == 200, response.text
    (found,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(response.content)))
    return str(found.text)


def send(client: TestClient, key: str = "", **fields: object) -> Result:
    headers = {"Idempotency-Key": key} if key else {}
    return client.simulate_post("/qr/bulk/", json=BODY | fields, headers=headers)


def send_csv(client: TestClient, query: str) -> Result:
    return client.simulate_post(
        "/qr/bulk/",
        query_string=f"gtin={GTIN}{query}",
        body="serial\nA1\n",
        headers={"Content-Type": "text/csv"},
    )


def uris(client: TestClient, bucket: Bucket, accepted: Result) -> list[str]:
    assert accepted.status_code == 202, accepted.text
    task_id = accepted.json["task_id"]
    assert end_of(client, task_id).json["status"] == "completed"
    data = bucket.get(keys.bundle_object(task_id))
    with zipfile.ZipFile(io.BytesIO(data)) as bundle:
        return [row["uri"] for row in json.loads(bundle.read("manifest.json"))]


@pytest.mark.usefixtures("worker")
def test_a_request_chooses_one_of_the_bases_of_its_key(
    client: TestClient, brand: TestClient, bucket: Bucket, settings: Settings
) -> None:
    path = f"/01/0{GTIN}/21/A1"
    assert uri_of(brand, link_base=SECOND) == SECOND + path
    assert uri_of(client) == uri_of(client, link_base=settings.link_base)
    assert uris(client, bucket, send(client)) == [settings.link_base + path]
    assert uris(brand, bucket, send(brand)) == [FIRST + path]
    assert uris(brand, bucket, send(brand, link_base=SECOND)) == [SECOND + path]
    assert uris(brand, bucket, send(brand, link_base=None)) == [FIRST + path]
    assert uris(brand, bucket, send_csv(brand, f"&link_base={SECOND}")) == [SECOND + path]
    # A longer base needs a larger symbol; the dry run counts those of the base that was chosen.
    dry = [
        brand.simulate_post("/qr/bulk/", json=BODY | chosen, query_string="dry_run=true").json
        for chosen in ({}, {"link_base": FIRST}, {"link_base": SECOND})
    ]
    assert dry[0] == dry[1]
    assert all(each["would_accept"] for each in dry)


@pytest.mark.parametrize(
    "chosen", ["https://id.gs1.org", FIRST.upper(), f"{FIRST}/", "", "x" * 2000]
)
def test_another_base_is_rejected_with_those_that_are_allowed(
    brand: TestClient, chosen: str
) -> None:
    responses = [
        send(brand, link_base=chosen),
        send_csv(brand, f"&link_base={chosen}"),
        brand.simulate_post("/qr/", json={"gtin": GTIN, **ITEM, "link_base": chosen}),
    ]
    dry = brand.simulate_post(
        "/qr/bulk/", json=BODY | {"link_base": chosen}, query_string="dry_run=true"
    )
    assert dry.json["would_accept"] is False
    assert dry.json["symbols"] == []
    for errors in (*(response.json["errors"] for response in responses), dry.json["errors"]):
        (error,) = errors
        assert (error["pointer"], error["code"]) == ("/link_base", "link_base")
        assert repr(chosen[:60])[:-1] in error["detail"]
        assert f"{FIRST}, {SECOND}" in error["detail"]
        assert len(error["detail"]) < 300
    assert [response.status_code for response in responses] == [422] * 3


def test_a_password_in_a_base_is_not_repeated(client: TestClient, settings: Settings) -> None:
    response = send(client, link_base="https://user:hunter2@id.example.com")
    assert response.status_code == 422
    assert "hunter2" not in response.text
    assert settings.link_base in response.text


@pytest.mark.parametrize(
    ("base", "code"),
    [
        ("https://id.example.com/", "slash"),
        ("id.example.com", "scheme"),
        ("https://id.example.com?a=1", "query"),
        ("https://id.example.com/01", "key_segment"),
        ("https://user:hunter2@id.example.com", "userinfo"),
        ("https://id.example.com/a b", "character"),
        ("https://id.example.com/..", "dot_segment"),
        ("https://", "host"),
        ("", "character"),
    ],
)
def test_the_rules_for_the_bases_of_a_key_are_those_of_the_setting(
    operator: TestClient, service: Service, base: str, code: str
) -> None:
    token = "sk_live_7Qm2ZxV9bT4nKc8LwR3yHs6JdF1gPe5A"
    body = {"name": "brand", "link_bases": [FIRST, base]}
    for path, more in (("/keys/", {}), ("/keys/import/", {"token": token})):
        response = operator.simulate_post(path, json=body | more)
        (error,) = response.json["errors"]
        assert (response.status_code, error["pointer"]) == (422, "/link_bases/1")
        assert error["code"] == code
        assert "hunter2" not in response.text
    with pytest.raises(ValueError):  # noqa: PT011 - the rule's own message is tested above
        service.api_keys.create(name="brand", role="client", link_bases=[base])
    if base:
        with pytest.raises(SettingsError):
            Settings.from_environment({"QRMILL_LINK_BASE": base})
    assert "brand" not in {key.name for key in service.api_keys.list()}


def test_a_key_has_few_bases_of_bounded_length(operator: TestClient) -> None:
    for bases in ([FIRST] * 11, [f"{FIRST}/{'x' * 500}"], FIRST, [1], None):
        response = operator.simulate_post("/keys/", json={"name": "b", "link_bases": bases})
        assert response.status_code == 422, bases
    longest = [f"{FIRST}/{number}{'x' * 470}" for number in range(10)]
    response = operator.simulate_post("/keys/", json={"name": "b", "link_bases": longest})
    assert response.json["link_bases"] == longest


def test_a_rerun_and_a_restored_job_keep_the_base(
    *,
    brand: TestClient,
    service: Service,
    settings: Settings,
    bucket: Bucket,
    connection: redis.Redis,
    start_worker: StartWorker,
) -> None:
    accepted = [send(brand, link_base=SECOND) for _ in range(2)]
    first, second = (response.json["task_id"] for response in accepted)
    assert brand.simulate_delete(f"/qr/bulk/{first}/").json["error_code"] == "cancelled"
    changed = msgspec.structs.replace(settings, link_base="https://new.example")
    # Its other keys, another setting, and the loss of Redis change nothing.
    later = TestClient(create_app(service, changed), headers=brand._default_headers)
    assert retry(later, first).status_code == 202
    connection.delete(*[name for name in connection.keys("*") if second in name])
    connection.zrem(ledger_keys.ACTIVE_JOBS, second)
    start_worker()
    for response in accepted:
        assert uris(later, bucket, response) == [f"{SECOND}/01/0{GTIN}/21/A1"]


def test_the_base_is_part_of_what_a_request_means(brand: TestClient) -> None:
    first = send(brand, "order")
    assert send(brand, "order", link_base=FIRST).headers["Idempotency-Replayed"] == "true"
    assert send(brand, "order", link_base=None).json["task_id"] == first.json["task_id"]
    assert send(brand, "order", link_base=SECOND).status_code == 422


def test_the_doctor_warns_while_labels_lead_to_gs1(settings: Settings) -> None:
    for base, state in (
        ("https://id.gs1.org", "warn"),
        ("http://ID.gs1.org:8080/x", "warn"),
        ("https://id.gs1.org.example", "ok"),
        (FIRST, "ok"),
    ):
        own = msgspec.structs.replace(settings, link_base=base)
        (found,) = [each for each in check_up(own) if each.name == "link base"]
        assert (found.state, base in found.found, bool(found.advice)) == (
            state,
            True,
            state == "warn",
        )
