"""Bodies that would cost more than they should: in memory, in time, or in patience."""

import gzip
import json
from typing import TYPE_CHECKING, cast

import pytest
from falcon.testing import TestClient

from api.app import create_app
from api.http import content_encoding, large_bodies
from pipeline.errors import StoreUnavailableError
from pipeline.service import Service, Settings
from pipeline.storage.bucket import Bucket

if TYPE_CHECKING:
    from api.resources import bulk

GTIN = "9506000134352"
JSON, CSV = {"Content-Type": "application/json"}, {"Content-Type": "text/csv"}


def test_countless_values_are_refused_before_they_are_decoded(client: TestClient) -> None:
    body = b'{"gtin": "%s", "items": [%s0]}' % (GTIN.encode(), b"0," * 1_000_000)
    answer = client.simulate_post("/qr/bulk/", body=body, headers=JSON)
    assert answer.status_code == 422
    assert "more values than a request of 5000 items" in answer.json["errors"][0]["detail"]


def test_the_most_commas_that_items_may_have_are_taken(client: TestClient) -> None:
    items = [{"lot": "," * 20, "serial": "," * 20, "expiry": "271231"}] * 200
    body = json.dumps({"gtin": GTIN, "items": items}, separators=(",", ":")).encode()
    assert client.simulate_post("/qr/bulk/", body=body, headers=JSON).status_code == 202


def test_a_record_of_countless_fields_is_refused_with_its_line(client: TestClient) -> None:
    body = b"lot,serial\nA,B\n" + b"," * 100_000 + b"x\n"
    answer = client.simulate_post(f"/qr/bulk/?gtin={GTIN}", body=body, headers=CSV)
    assert answer.status_code == 400
    assert answer.json["errors"][0]["line"] == 3


def test_countless_gzip_members_are_refused(client: TestClient) -> None:
    body = gzip.compress(b"") * (content_encoding._MOST_MEMBERS + 1)
    headers = {**JSON, "Content-Encoding": "gzip"}
    answer = client.simulate_post("/qr/bulk/", body=body, headers=headers)
    assert answer.json["error_code"] == "malformed_gzip"
    assert "members" in answer.json["detail"]


@pytest.mark.parametrize("coded", [False, True], ids=["plain", "gzip"])
def test_large_bodies_wait_for_a_place_and_small_ones_need_none(
    service: Service,
    settings: Settings,
    token: str,
    monkeypatch: pytest.MonkeyPatch,
    coded: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    monkeypatch.setattr(large_bodies, "_PATIENCE", 0.1)
    monkeypatch.setattr(large_bodies, "_CHECKED", 1)
    client = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    large = {"gtin": GTIN, "items": [{"serial": f"{number:020}"} for number in range(2000)]}
    body, headers = json.dumps(large).encode(), JSON
    if coded:
        body, headers = gzip.compress(body), {**JSON, "Content-Encoding": "gzip"}
        assert len(body) < large_bodies._SMALL
    with places_of(client)._checked.hold("another", 0):
        refused = client.simulate_post("/qr/bulk/", body=body, headers=headers)
        small = client.simulate_post("/qr/bulk/", json={"gtin": GTIN, "items": [{}]})
    assert (refused.status_code, refused.json["error_code"]) == (503, "busy")
    assert refused.headers["retry-after"]
    assert small.status_code == 202
    assert client.simulate_post("/qr/bulk/", body=body, headers=headers).status_code == 202


def places_of(client: TestClient) -> large_bodies.LargeBodies:
    found = client.app._router.find("/qr/bulk")
    assert found is not None
    return cast("bulk.BulkCollection", found[0])._large_bodies


def test_a_request_that_arrived_in_s3_without_a_word_is_not_accepted_behind_the_clients_back(
    client: TestClient, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Bucket.put

    def put_and_lose_the_answer(self: Bucket, key: str, data: bytes, *others: str) -> None:
        put(self, key, data, *others)
        raise StoreUnavailableError("ReadTimeoutError")

    monkeypatch.setattr(Bucket, "put", put_and_lose_the_answer)
    headers = {"Idempotency-Key": "lost"}
    body = {"gtin": GTIN, "items": [{}]}
    answer = client.simulate_post("/qr/bulk/", json=body, headers=headers)
    assert answer.status_code == 503
    assert "nothing was accepted" in answer.json["detail"]
    assert [*bucket.list_keys("jobs/")] == []
    monkeypatch.setattr(Bucket, "put", put)
    assert client.simulate_post("/qr/bulk/", json=body, headers=headers).status_code == 202
    assert len([*bucket.list_keys("jobs/")]) == 1
