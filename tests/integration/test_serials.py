"""Serials that the service makes: over HTTP, and drawn once whatever happens to the process."""

import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from falcon.testing import Result, TestClient

from api.schemas.tasks import SERIAL_CHARACTERS
from pipeline.auth.api_key import ApiKey
from pipeline.errors import ObjectExistsError
from pipeline.model.request_object import decode_head, decode_items
from pipeline.service import Service, Settings, make_idempotency
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.multipart_upload import Upload
from pipeline.storage.write_options import ONLY_ONCE
from tests.integration.raw_api import _environment
from tests.integration.test_api import GTIN
from tests.integration.test_restore import end_of
from tests.s3_servers import EVERY_S3
from tests.unit.api.bulk_requests import parse_bulk
from tests.waiting import wait_for

REPOSITORY = Path(__file__).parents[2]
BODY = json.dumps({"gtin": GTIN, "serials": {"random": True, "count": 30}, "lot": "L"})
HEADER = "order 7"
Start = Callable[[str, str], "subprocess.Popen[str]"]


def post(client: TestClient, body: dict[str, Any], key: str = "", query: str = "") -> Result:
    headers = {"Idempotency-Key": key} if key else None
    return client.simulate_post("/qr/bulk/", params=query, json=body, headers=headers)


def post_query(client: TestClient, key: str = "", **query: str) -> Result:
    headers = {"Content-Type": "text/csv"} | ({"Idempotency-Key": key} if key else {})
    return client.simulate_post("/qr/bulk/", params={"gtin": GTIN, **query}, headers=headers)


def stored_serials(bucket: Bucket, task_id: str) -> list[str | None]:
    stored = bucket.get(keys.request_object(task_id))
    head, start = decode_head(stored), stored.index(b"\n") + 1
    return [
        item.serial
        for offset, length in head.ranges
        for item in decode_items(stored[start + offset : start + offset + length])
    ]


def rows_of(bucket: Bucket, task_id: str) -> list[dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(bucket.get(keys.bundle_object(task_id)))) as bundle:
        rows: list[dict[str, Any]] = json.loads(bundle.read("manifest.json"))
    return rows


@pytest.mark.usefixtures("worker")
def test_a_range_in_json_and_in_the_query_is_one_job(client: TestClient, bucket: Bucket) -> None:
    body = {"gtin": GTIN, "serials": {"start": "A0098", "count": 25}, "lot": "L"}
    first = post(client, body, "key")
    second = post_query(client, "key", serials="A0098:25", lot="L")
    assert (first.status_code, first.json["items"]) == (202, 25)
    assert second.headers["idempotency-replayed"] == "true"
    assert second.json == first.json
    task_id = first.json["task_id"]
    assert end_of(client, task_id).json["bundle"]["verified"]
    rows = rows_of(bucket, task_id)
    assert [row["serial"] for row in rows] == [f"A{98 + place:04}" for place in range(25)]
    assert rows[0]["file"] == "00001_L_A0098.png"


@pytest.mark.usefixtures("worker")
def test_random_serials_are_drawn_once(client: TestClient, bucket: Bucket) -> None:
    first = post(client, json.loads(BODY), "key")
    again = post_query(client, "key", serials="random:30:10", lot="L")
    assert again.headers["idempotency-replayed"] == "true"
    task_id = first.json["task_id"]
    drawn = stored_serials(bucket, task_id)
    assert len({*drawn}) == 30
    assert all(len(each or "") == 10 and {*(each or "")} <= {*SERIAL_CHARACTERS} for each in drawn)
    end_of(client, task_id)
    assert [row["serial"] for row in rows_of(bucket, task_id)] == drawn
    other = post(client, json.loads(BODY), "other key").json["task_id"]
    assert not {*stored_serials(bucket, other)} & {*drawn}


def test_the_query_has_fields_of_items_beside_serials_only(client: TestClient) -> None:
    fine = post_query(client, serials="A1:2", expiry="2027-12-31", x_pallet="17", dry_run="true")
    assert (fine.json["would_accept"], fine.json["items"]) == (True, 2)
    assert fine.json["serials"] == {"samples": ["A1", "A2"], "reserved": False}
    for query in (
        {"serials": "A1:2", "serial": "1"},
        {"serials": "A1:2", "name": "n"},
        {"lot": "L"},
        {"x_pallet": "17"},
    ):
        refused = post_query(client, **query)
        (name,) = {*query} - {"serials"}
        if "serials" in query:
            assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
            assert [row["pointer"] for row in refused.json["errors"]] == [f"/{name}"]
        else:  # the empty body has no header
            assert refused.status_code == HTTPStatus.BAD_REQUEST


@pytest.fixture
def key(service: Service) -> ApiKey:
    return service.api_keys.create(name="client", role="client").key


@pytest.fixture
def start(settings: Settings, key: ApiKey) -> Iterator[Start]:
    running: list[subprocess.Popen[str]] = []

    def start(moment: str, then: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.integration.submitting_process"),
                *(moment, then, key.key_id, HEADER, BODY),
            ],
            cwd=REPOSITORY,
            env=os.environ | _environment(settings) | {"PYTHONPATH": str(REPOSITORY)},
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def wait_until_stopped(process: "subprocess.Popen[str]") -> None:
    found = psutil.Process(process.pid)
    wait_for(lambda: found.status() == psutil.STATUS_STOPPED, "the process to stop", pause=0.05)


def outcome(process: "subprocess.Popen[str]") -> str:
    process.send_signal(signal.SIGCONT)
    return process.communicate(timeout=60)[0].splitlines()[-1]


def submit_again(service: Service, key: ApiKey, redis_url: str) -> str:
    """Send the request again when the lease of the first holder has ended, and draw anew."""
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        (name,) = connection.keys("qrmill:idem*")
        connection.hset(name, "until", 1)
    content = BODY.encode()
    return service.submission.submit(
        parse_bulk(content), key, make_idempotency(HEADER, content)
    ).task_id


def assert_one_job(service: Service, key: ApiKey, bucket: Bucket, task_id: str) -> None:
    """The ledger and the object are of one draw, and there is no other job."""
    assert [*bucket.list_keys("jobs/")] == [keys.request_object(task_id)]
    status = service.jobs.status(task_id, key)
    assert status is not None
    assert (status.state, status.items) == ("pending", 30)
    drawn = stored_serials(bucket, task_id)
    assert len({*drawn}) == 30
    uris = [sample.uri for sample in service.preview.first(task_id)]
    assert [uri.rpartition("/")[2] for uri in uris] == drawn[: len(uris)]


@EVERY_S3
@pytest.mark.parametrize("then", ["SIGKILL", "SIGSTOP"])
def test_a_process_that_dies_or_stops_behind_its_object_leaves_it_to_the_next(  # noqa: PLR0917
    start: Start, service: Service, key: ApiKey, bucket: Bucket, redis_url: str, then: str
) -> None:
    first = start("after-put", then)
    if then == "SIGKILL":
        assert first.wait(60) == -signal.SIGKILL
    else:
        wait_until_stopped(first)
    (name,) = bucket.list_keys("jobs/")
    written = bucket.get(name)
    task_id = submit_again(service, key, redis_url)
    assert name == keys.request_object(task_id)
    assert bucket.get(name) == written
    if then == "SIGSTOP":
        assert outcome(first) == task_id
    assert bucket.get(name) == written
    assert_one_job(service, key, bucket, task_id)


@EVERY_S3
def test_a_process_that_was_stopped_before_its_object_writes_none(
    start: Start, service: Service, key: ApiKey, bucket: Bucket, redis_url: str
) -> None:
    first = start("before-put", "SIGSTOP")
    wait_until_stopped(first)
    task_id = submit_again(service, key, redis_url)
    written = bucket.get(keys.request_object(task_id))
    assert outcome(first) == "UncertainAcceptanceError"
    assert bucket.get(keys.request_object(task_id)) == written
    assert_one_job(service, key, bucket, task_id)


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_a_write_that_arrives_late_replaces_no_object(
    start: Start, service: Service, key: ApiKey, bucket: Bucket, redis_url: str
) -> None:
    first = start("in-put", "SIGSTOP")
    wait_until_stopped(first)
    task_id = submit_again(service, key, redis_url)
    written = bucket.get(keys.request_object(task_id))
    assert outcome(first) == task_id
    assert bucket.get(keys.request_object(task_id)) == written
    assert_one_job(service, key, bucket, task_id)


@pytest.mark.parametrize("s3", ["moto"], indirect=True)
def test_an_object_is_written_once_in_one_request_or_in_parts(bucket: Bucket) -> None:
    bucket.put_once("one", b"1", "text/plain")
    with pytest.raises(ObjectExistsError):
        bucket.put_once("one", b"2", "text/plain")
    upload = Upload([b"3" * 6_000_000], 5 << 20, lambda: True, condition=ONLY_ONCE)
    with pytest.raises(ObjectExistsError):
        bucket.upload("one", upload)
    assert bucket.get("one") == b"1"
    bucket.upload("two", upload)
    assert len(bucket.get("two")) == 6_000_000
