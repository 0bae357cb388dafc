"""Requests in every form, over a real Redis and a real S3."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zxingcpp
from falcon.testing import Result, TestClient
from PIL import Image

from api.app import create_app
from pipeline.model.request_object import decode_head, decode_items
from pipeline.service import Item, Settings, open_service
from pipeline.settings import variable
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.integration.test_api import GTIN, assert_problem, contents
from tests.unit.api.intake.test_csv_items import HEADER

SYMBOL = {"gtin": GTIN, "lot": "LOT-7", "serial": "A0001", "expiry": "271231"}
URI = f"https://id.gs1.org/01/0{GTIN}/10/LOT-7/21/A0001?17=271231"
ROWS = HEADER + b"LOT-7,A0001,271231\r\nLOT-7,,\r\n"


def post_csv(client: TestClient, body: bytes, query: str = f"gtin={GTIN}", **more: str) -> Result:
    return client.simulate_post(
        "/qr/bulk/", body=body, query_string=query, content_type="text/csv", headers=more
    )


def changed(settings: Settings, **fields: Any) -> Settings:  # noqa: ANN401 - any setting
    return Settings(**{**msgspec.structs.asdict(settings), **fields})


def test_one_symbol_is_answered_as_its_image_and_nothing_is_kept(
    client: TestClient, redis_url: str, bucket: Bucket, staging_bucket: Bucket
) -> None:
    before = contents(redis_url, bucket, staging_bucket)
    answer = client.simulate_post("/qr/", json=SYMBOL | {"size": 200})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.headers["cache-control"] == "public, max-age=2592000"
    assert answer.headers["etag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    with Image.open(io.BytesIO(answer.content)) as image:
        assert image.size == (200, 200)
        (found,) = zxingcpp.read_barcodes(image.convert("L"))
    assert found.text == URI
    svg = client.simulate_post("/qr", json=SYMBOL | {"format": "svg"})
    assert svg.headers["content-type"] == "image/svg+xml"
    assert svg.content.startswith(b"<svg")
    assert contents(redis_url, bucket, staging_bucket) == before


def test_an_image_that_the_client_has_is_304(client: TestClient) -> None:
    tag = client.simulate_post("/qr/", json=SYMBOL).headers["etag"]
    for sent in (tag, f'"x", W/{tag}', "*"):
        answer = client.simulate_post("/qr/", json=SYMBOL, headers={"If-None-Match": sent})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == tag
        assert answer.headers["cache-control"] == "public, max-age=2592000"
    other = client.simulate_post(
        "/qr/", json=SYMBOL | {"serial": "A0002"}, headers={"If-None-Match": tag}
    )
    assert other.status_code == 200


def test_a_wrong_symbol_is_refused_with_every_bad_value(client: TestClient) -> None:
    wrong = {"gtin": "1", "lot": "a b", "serial": 5, "expiry": "271301", "batch": "x", "size": 9}
    answer = client.simulate_post("/qr/?dry_run=true", json=wrong)
    problem = assert_problem(answer, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request")
    assert {row["pointer"]: row["code"] for row in problem["errors"]} == {
        "/dry_run": "unknown_parameter",
        "/batch": "unknown_field",
        "/serial": "type",
        "/gtin": "gtin_format",
        "/size": "range",
        "/lot": "character",
        "/expiry": "expiry_date",
    }
    assert answer.headers["cache-control"] == "no-store"
    small = client.simulate_post(
        "/qr/", json=SYMBOL | {"lot": "%" * 20, "serial": "%" * 20, "size": 50}
    )
    assert [row["pointer"] for row in small.json["errors"]] == ["/size"]
    wide = SYMBOL | {"lot": "%" * 20, "serial": 5, "size": 50}
    of_its_type = client.simulate_post(
        "/qr/", json=wide
    )  # how small a serial would make it, if any
    assert [row["pointer"] for row in of_its_type.json["errors"]] == ["/serial"]
    html = client.simulate_post("/qr/", json=SYMBOL, headers={"Accept": "text/html"})
    assert_problem(html, HTTPStatus.NOT_ACCEPTABLE, "not_acceptable")
    rows = client.simulate_post("/qr/", body=ROWS, content_type="text/csv")
    assert_problem(rows, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
    broken = client.simulate_post("/qr/", body="{", content_type="application/json")
    assert_problem(broken, HTTPStatus.BAD_REQUEST, "malformed_json")


def stored_items(bucket: Bucket, task_id: str) -> list[Item]:
    stored = bucket.get(keys.request_object(task_id))
    start = stored.index(b"\n") + 1
    ranges = decode_head(stored).ranges
    return [
        item
        for offset, length in ranges
        for item in decode_items(stored[start + offset : start + offset + length])
    ]


def test_csv_is_accepted_as_the_same_job_as_json(client: TestClient, bucket: Bucket) -> None:
    query = f"gtin={GTIN}&format=svg&size=250&error_correction=H"
    for body, more in ((ROWS, {}), (gzip.compress(ROWS), {"Content-Encoding": "gzip"})):
        accepted = post_csv(client, body, query, **more)
        assert (accepted.status_code, accepted.json["items"]) == (202, 2)
        task_id = accepted.json["task_id"]
        assert stored_items(bucket, task_id) == [Item("LOT-7", "A0001", "271231"), Item("LOT-7")]
        head = decode_head(bucket.get(keys.request_object(task_id)))
        assert (head.gtin, head.format, head.size) == (f"0{GTIN}", "svg", 250)
        assert head.error_correction == "H"


def test_a_wrong_csv_is_refused_with_line_and_column(client: TestClient) -> None:
    body = HEADER + b"A,A0001,\nA,A 002,\nA,A0003\n"
    problem = assert_problem(
        post_csv(client, body), HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request"
    )
    rows = [(row["pointer"], row["line"], row.get("column")) for row in problem["errors"]]
    assert rows == [("/items/2", 4, 3), ("/items/1/serial", 3, 2)]
    broken = assert_problem(post_csv(client, b'lot\n"A'), HTTPStatus.BAD_REQUEST, "malformed_csv")
    assert [row["line"] for row in broken["errors"]] == [2]


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("dryrun=true", {"/dryrun": "unknown_parameter"}),
        ("dry_run=yes", {"/dry_run": "type"}),
        ("dry_run=", {"/dry_run": "type"}),
        ("dry_run=true&dry_run=false", {"/dry_run": "repeated_parameter"}),
        ("items=1&a%2Fb=", {"/items": "unknown_parameter", "/a~1b": "unknown_parameter"}),
    ],
)
def test_a_parameter_that_there_is_not_accepts_no_job(
    client: TestClient, redis_url: str, bucket: Bucket, query: str, pointers: dict[str, str]
) -> None:
    before = contents(redis_url, bucket)
    as_json = client.simulate_post(
        "/qr/bulk/", json={"gtin": GTIN, "items": [{}]}, query_string=query
    )
    for answer in (as_json, post_csv(client, ROWS, f"gtin={GTIN}&{query}")):
        if answer.status_code == 200:  # the first of two said that it is a dry run
            assert not answer.json["would_accept"]
        found = {row["pointer"]: row["code"] for row in answer.json["errors"]}
        assert found == pointers
        assert answer.json["errors_total"] == len(pointers)
    gtin = client.simulate_post(
        "/qr/bulk/", json={"gtin": GTIN, "items": [{}]}, query_string=f"gtin={GTIN}"
    )
    assert [row["pointer"] for row in gtin.json["errors"]] == ["/gtin"]
    assert contents(redis_url, bucket) == before


def test_a_dry_run_tells_the_symbols_and_uses_nothing_up(
    client: TestClient, redis_url: str, bucket: Bucket
) -> None:
    before = contents(redis_url, bucket)
    items = [{"serial": f"{index:05}"} for index in range(25)] + [{"lot": c * 20} for c in "%&"]
    sent = {"gtin": GTIN, "items": items}
    header = {"Idempotency-Key": "k"}
    answer = client.simulate_post("/qr/bulk/?dry_run=true", json=sent, headers=header)
    assert answer.status_code == 200
    size = {"width_px": 400, "width_mm": None, "xdim_mm": None}
    expected: list[dict[str, Any]] = [
        {"version": 3, "error_correction": "M", "count": 25, **size},
        {"version": 5, "error_correction": "M", "count": 2, **size},
    ]
    assert answer.json == {
        "would_accept": True,
        "items": 27,
        "symbols": expected,
        "errors": [],
        "errors_total": 0,
        "warnings": [],
        "warnings_total": 0,
    }
    body = b"serial,lot\n" + b"".join(b"%05d,\n" % index for index in range(25))
    rows = post_csv(
        client, body + b"," + b"%" * 20 + b"\n" + b"a b,c\n", f"gtin={GTIN}&dry_run=true"
    )
    assert rows.status_code == 200
    expected[1]["count"] = 1
    assert rows.json["symbols"] == expected
    assert (rows.json["would_accept"], rows.json["items"]) == (False, 27)
    (error,) = rows.json["errors"]
    assert (error["pointer"], error["line"], error["column"]) == ("/items/26/serial", 28, 1)
    nothing = client.simulate_post("/qr/bulk/?dry_run=true", json={"gtin": "1", "items": [{}]})
    assert (nothing.json["symbols"], nothing.json["errors_total"]) == ([], 1)
    broken = client.simulate_post(
        "/qr/bulk/?dry_run=true", body="{", content_type="application/json"
    )
    assert_problem(broken, HTTPStatus.BAD_REQUEST, "malformed_json")
    assert contents(redis_url, bucket) == before
    accepted = client.simulate_post(
        "/qr/bulk/?dry_run=false", json={"gtin": GTIN, "items": [{}]}, headers=header
    )
    assert accepted.status_code == 202


def test_a_dry_run_does_not_ask_the_backlog(
    settings: Settings, client: TestClient, token: str
) -> None:
    assert client.simulate_post("/qr/bulk/", json={"gtin": GTIN, "items": [{}]}).status_code == 202
    full = changed(settings, max_backlog=1)
    busy = TestClient(create_app(open_service(full), full), headers={"X-API-Key": token})
    assert post_csv(busy, ROWS).status_code == 503
    assert post_csv(busy, ROWS, f"gtin={GTIN}&dry_run=true").json["would_accept"]


def test_the_same_csv_request_is_the_same_job_however_it_is_sent(client: TestClient) -> None:
    key = {"Idempotency-Key": "k"}
    first = post_csv(client, ROWS, f"gtin={GTIN}&format=svg", **key)
    compressed = {"Content-Encoding": "gzip", **key}
    again = [
        post_csv(client, ROWS, f"format=svg&gtin={GTIN}&dry_run=false", **key),
        post_csv(client, gzip.compress(ROWS, 1), f"gtin={GTIN}&format=svg", **compressed),
    ]
    for answer in again:
        assert answer.status_code == 202, answer.text
        assert answer.headers["idempotency-replayed"] == "true"
        assert answer.json["task_id"] == first.json["task_id"]
    others = [
        post_csv(client, ROWS, f"gtin={GTIN}&format=png", **key),
        post_csv(client, ROWS + b"LOT-8,,\n", f"gtin={GTIN}&format=svg", **key),
    ]
    for answer in others:
        assert_problem(answer, HTTPStatus.UNPROCESSABLE_ENTITY, "key_reused")


def test_a_long_request_is_kept_in_parts(settings: Settings, token: str, bucket: Bucket) -> None:
    large = changed(settings, max_items=100_000, chunk_size=10_000)
    client = TestClient(create_app(open_service(large), large), headers={"X-API-Key": token})
    quotes = b'"' + b'""' * 20 + b'"'  # which JSON escapes, so that fewer items are more bytes
    accepted = post_csv(client, b"lot,serial\n" + (quotes + b"," + quotes + b"\n") * 100_000)
    assert (accepted.status_code, accepted.json["items"]) == (202, 100_000)
    task_id = accepted.json["task_id"]
    assert len(bucket.get(keys.request_object(task_id))) > 8 * 1024 * 1024
    assert stored_items(bucket, task_id) == [Item('"' * 20, '"' * 20)] * 100_000


PEAK = """
import re, sys
from pathlib import Path
from falcon.testing import StartResponseMock, create_environ
from api.app import get_app
body = Path(sys.argv[1])
headers = {
    "X-API-Key": sys.argv[2], "Content-Type": "application/json",
    "Content-Length": str(body.stat().st_size),
}
environ, start = create_environ("/qr/bulk/", method="POST", headers=headers), StartResponseMock()
app = get_app()
with body.open("rb") as sent:
    environ["wsgi.input"] = sent
    answer = b"".join(app(environ, start))
assert start.status.startswith("202"), answer
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())
print(peak[1])
"""


def test_20_times_the_items_take_less_than_a_third_more_memory(
    settings: Settings, token: str, tmp_path: Path
) -> None:
    """The body comes from a file, so that nothing but the service is in the process."""
    given = changed(settings, max_items=100_000, chunk_size=250)
    environment = {
        variable(name): str(value)
        for name, value in msgspec.structs.asdict(given).items()
        if value is not None
    }

    def peak(count: int) -> int:
        items = [{"lot": "LOT-7", "serial": f"A{n:07}", "expiry": "271231"} for n in range(count)]
        body = tmp_path / f"{count}.json"
        body.write_text(json.dumps({"gtin": GTIN, "items": items}))
        done = subprocess.run(
            [sys.executable, "-c", PEAK, body, token],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    assert peak(100_000) < 1.3 * peak(5000)
