"""Fields of items from the request to the bundle, over a real Redis and a real S3."""

import csv
import io
import json
import zipfile
from typing import Any

import dramatiq
import pytest
import redis
import zxingcpp
from falcon.testing import TestClient
from PIL import Image

from pipeline.ledger import keys as ledger_keys
from pipeline.model.versions import version_of
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.integration.test_api import GTIN
from tests.integration.test_restore import end_of, flush

OTHER = "00614141123452"
BASE = "https://id.gs1.org/01"
ITEMS: list[dict[str, Any]] = [
    {"lot": "L", "serial": "1", "expiry": "271231"},
    {"gtin": "614141123452", "serial": "1", "variant": "2A", "best_before_date": "271200"},
    {
        "lot": "L",
        "serial": "2",
        "expiry": "271231",
        "variant": "B/C",
        "production_date": "260101",
        "packaging_date": "260102",
        "best_before_date": "271130",
        "sell_by_date": "271115",
    },
]
URIS = [
    f"{BASE}/0{GTIN}/10/L/21/1?17=271231",
    f"{BASE}/{OTHER}/22/2A/21/1?15=271200",
    f"{BASE}/0{GTIN}/22/B%2FC/10/L/21/2?11=260101&13=260102&15=271130&16=271115&17=271231",
]
DATES = ["production_date", "packaging_date", "best_before_date", "sell_by_date"]


def submit(client: TestClient, **fields: Any) -> str:  # noqa: ANN401 - any JSON
    response = client.simulate_post("/qr/bulk/", json={"gtin": GTIN, **fields})
    assert response.status_code == 202, response.text
    return str(response.json["task_id"])


def contents(bucket: Bucket, task_id: str) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(bucket.get(keys.bundle_object(task_id)))) as bundle:
        return {name: bundle.read(name) for name in bundle.namelist()}


def table(data: bytes) -> list[dict[str, str]]:
    return [*csv.DictReader(io.StringIO(data.decode(), newline=""))]


@pytest.mark.usefixtures("worker")
def test_every_field_is_in_the_symbols_and_in_the_files(client: TestClient, bucket: Bucket) -> None:
    task_id = submit(client, items=ITEMS, datamerge=True)
    assert end_of(client, task_id).json["bundle"]["verified"]
    files = contents(bucket, task_id)
    rows = json.loads(files["manifest.json"])
    assert [row["uri"] for row in rows] == URIS
    assert [row["gtin"] for row in rows] == [f"0{GTIN}", OTHER, f"0{GTIN}"]
    assert rows[1]["hri"] == f"(01){OTHER}(22)2A(21)1(15)271200"
    for row, item in zip(rows, ITEMS, strict=True):
        assert [*row][-5:] == [*DATES, "variant"]
        assert {name: row[name] for name in (*DATES, "variant")} == {
            name: item.get(name) for name in (*DATES, "variant")
        }
        found = zxingcpp.read_barcode(Image.open(io.BytesIO(files[row["file"]])))
        assert found is not None
        assert found.text == row["uri"]
    assert [*table(files["manifest.csv"])[0]] == [*rows[0]]
    merged = table(files["datamerge.csv"])
    assert [*merged[0]][-5:] == [*DATES, "variant"]
    assert [row["variant"] for row in merged] == ["", "2A", "B/C"]


@pytest.mark.usefixtures("worker")
def test_the_manifest_has_columns_of_the_fields_that_the_job_has(
    client: TestClient, bucket: Bucket
) -> None:
    task_id = submit(client, items=[{"serial": "1"}, {"sell_by_date": "271115"}], format="pdf")
    end_of(client, task_id)
    rows = json.loads(contents(bucket, task_id)["manifest.json"])
    assert [[*row][-2:] for row in rows] == [["xdim_mm", "sell_by_date"]] * 2
    plain = submit(client, items=[{"serial": "1"}])
    end_of(client, plain)
    assert [*json.loads(contents(bucket, plain)["manifest.json"])[0]][-1] == "xdim_mm"


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("image_format", ["png", "svg"])
def test_names_and_extra_values_are_in_the_files(
    client: TestClient, bucket: Bucket, image_format: str
) -> None:
    hostile = '=1+2\r\n"\u202e;,'
    items = [
        {"serial": "1", "name": "front.Label-1", "extra": {"b": hostile}},
        {"serial": "2", "lot": "L"},
        {"name": "..", "extra": {"a": "", "b": "2"}},
    ]
    task_id = submit(client, items=items, datamerge=True, format=image_format)
    assert end_of(client, task_id).json["bundle"]["verified"]
    files = contents(bucket, task_id)
    rows = json.loads(files["manifest.json"])
    names = [f"{name}.{image_format}" for name in ("front.Label-1", "00002_L_2", "..")]
    assert [row["file"] for row in rows] == names
    assert {*names} <= {*files}
    assert [[*row.items()][-2:] for row in rows] == [
        [("x_b", hostile), ("x_a", None)],
        [("x_b", None), ("x_a", None)],
        [("x_b", "2"), ("x_a", "")],
    ]
    for name in ("manifest.csv", "datamerge.csv"):
        found = [(row["x_b"], row["x_a"]) for row in table(files[name])]
        assert found == [(hostile, ""), ("", ""), ("2", "")]


@pytest.mark.usefixtures("worker")
def test_extra_values_beside_the_pages_of_one_file(client: TestClient, bucket: Bucket) -> None:
    task_id = submit(client, items=[{"extra": {"a": "1"}}, {}], format="pdf", pages="single")
    assert end_of(client, task_id).json["bundle"]["verified"]
    files = contents(bucket, task_id)
    rows = json.loads(files["manifest.json"])
    assert [(row["page"], row["x_a"]) for row in rows] == [(1, "1"), (2, None)]
    assert not {"staged_page", "extra"} & {*rows[0]}
    assert [*table(files["manifest.csv"])[0]] == [*rows[0]]


def test_a_job_with_new_fields_is_left_to_newer_workers(
    client: TestClient, bucket: Bucket, redis_url: str
) -> None:
    plain, other = submit(client, items=ITEMS[:1]), submit(client, items=ITEMS)
    stored = [bucket.get(keys.request_object(each)) for each in (plain, other)]
    assert [version_of(each.partition(b"\n")[0]) for each in stored] == [1, 3]
    with redis.Redis.from_url(redis_url, decode_responses=True) as ledger:
        versions = [ledger.hget(ledger_keys.job(each), "version") for each in (plain, other)]
    assert versions == ["1", "3"]


def test_a_job_that_redis_lost_is_the_same(
    client: TestClient, worker: dramatiq.Worker, redis_url: str, bucket: Bucket
) -> None:
    worker.pause()
    task_id = submit(client, items=ITEMS)
    flush(redis_url)
    assert client.simulate_get(f"/qr/bulk/{task_id}/").status_code == 200
    worker.resume()
    end_of(client, task_id)
    assert [row["uri"] for row in json.loads(contents(bucket, task_id)["manifest.json"])] == URIS


def test_a_single_symbol_has_the_fields_of_an_item(client: TestClient) -> None:
    for item, uri in zip(ITEMS, URIS, strict=True):
        response = client.simulate_post("/qr/", json={"gtin": GTIN, **item})
        assert response.status_code == 200, response.text
        found = zxingcpp.read_barcode(Image.open(io.BytesIO(response.content)))
        assert found is not None
        assert found.text == uri
    wrong = client.simulate_post("/qr/", json={"gtin": GTIN, "sell_by_date": "1", "variant": " "})
    assert {each["pointer"] for each in wrong.json["errors"]} == {"/sell_by_date", "/variant"}
    extra = {f"n{index}": "\u20ac" * 200 for index in range(20)}
    fine = client.simulate_post("/qr/", json={"gtin": GTIN, "name": "n", "extra": extra})
    assert fine.content == client.simulate_post("/qr/", json={"gtin": GTIN}).content
    wrong = client.simulate_post("/qr/", json={"gtin": GTIN, "name": "nul", "extra": {"A": ""}})
    assert {each["pointer"] for each in wrong.json["errors"]} == {"/name", "/extra/A"}


def test_the_list_names_the_first_gtin(client: TestClient) -> None:
    submit(client, gtin=None, items=[ITEMS[1], {"gtin": GTIN}])
    (row,) = client.simulate_get("/qr/bulk/").json["tasks"]
    assert row["gtin"] == OTHER
    dry = client.simulate_post("/qr/bulk/?dry_run=true", json={"items": [ITEMS[1]]}).json
    assert (dry["would_accept"], dry["errors"]) == (True, [])
