"""Warnings and the meaning of a request, from the POST to the request object and the replay."""

import json
from http import HTTPStatus
from typing import Any

import pytest
from falcon.testing import Result, TestClient

from pipeline.storage.bucket import Bucket
from pipeline.storage.records import JobRecords
from tests.integration.test_api import GTIN, assert_problem, contents

TWICE = [{"serial": "A0001"}, {"serial": "A0001", "lot": "nan"}]
CODES = ["placeholder", "duplicate_serial"]
KEY = {"Idempotency-Key": "order 7"}


def post(client: TestClient, body: object, kind: str = "application/json", **more: Any) -> Result:  # noqa: ANN401 - of Falcon's client
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.simulate_post("/qr/bulk/", body=sent, content_type=kind, **more)


def test_warnings_are_in_the_202_in_the_request_object_and_in_the_replay(
    client: TestClient, bucket: Bucket
) -> None:
    first = post(client, {"gtin": GTIN, "items": TWICE}, headers=KEY)
    assert first.status_code == 202
    assert [each["code"] for each in first.json["warnings"]] == CODES
    assert first.json["warnings_total"] == 2
    assert first.json["warnings"][1]["pointer"] == "/items/1/serial"
    _, _, stored = JobRecords(bucket).read_request(first.json["task_id"])
    assert [each.code for each in stored.warnings] == CODES
    assert stored.warnings_total == 2
    again = post(client, {"gtin": GTIN, "items": TWICE}, headers=KEY)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json == first.json


def test_a_202_without_warnings_has_the_members_of_the_base_contract(client: TestClient) -> None:
    answer = post(client, {"gtin": GTIN, "items": [{"serial": "1"}, {"serial": "2"}]})
    assert set(answer.json) == {"task_id", "status", "items", "poll_url"}


def test_csv_warnings_have_line_and_column(client: TestClient) -> None:
    rows = b"Batch;SN\r\nL;A0001\r\nnan;A0001\r\n"
    query = {"query_string": f"gtin={GTIN}"}
    answer = post(client, rows, "text/csv; charset=utf8", **query)
    found = [(each["code"], each["line"], each["column"]) for each in answer.json["warnings"]]
    assert found == [("placeholder", 3, 1), ("duplicate_serial", 3, 2)]
    tried = post(client, rows, "text/csv", query_string=f"gtin={GTIN}&dry_run=true")
    assert tried.json["warnings"] == answer.json["warnings"]
    assert (tried.json["would_accept"], tried.json["warnings_total"]) == (True, 2)


def test_strict_accepts_nothing_and_lists_the_warnings_as_errors(
    client: TestClient, redis_url: str, bucket: Bucket
) -> None:
    before = contents(redis_url, bucket)
    sent = {"gtin": GTIN, "items": TWICE, "strict": True}
    rows = b"lot,serial\n,A0001\nnan,A0001\n"
    query = f"gtin={GTIN}&strict=true"
    for answer in (post(client, sent), post(client, rows, "text/csv", query_string=query)):
        problem = assert_problem(answer, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request")
        assert [each["code"] for each in problem["errors"]] == CODES
    tried = post(client, sent, query_string="dry_run=true")
    assert (tried.json["would_accept"], tried.json["errors_total"]) == (False, 2)
    assert tried.json["warnings"] == []
    one = client.simulate_post("/qr/", json={"gtin": "01234565", "strict": True})
    problem = assert_problem(one, HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_request")
    assert [each["code"] for each in problem["errors"]] == ["gtin8_restricted"]
    assert client.simulate_post("/qr/", json={"gtin": "01234565"}).status_code == 200
    assert contents(redis_url, bucket) == before


SAME_WITH_DEFAULTS = (
    '{"gtin":"9506000134352","format":"png","size":400,"error_correction":"M","strict":false,'
    '"callback_url":null,"items":[{"lot":"A","serial":"1"}]}'
)
SAME = [
    '{"gtin":"9506000134352","items":[{"lot":"A","serial":"1"}]}',
    ' { "items" : [ { "serial" : "1" ,\n "lot" : "A" } ] , "gtin" : "9506000134352" } ',
    '{"gtin":"9506000134352","items":[{"lot":"\\u0041","serial":"1","expiry":null}]}',
    '{"gtin":"950-6000-134352","items":[{"lot":"A","serial":"1"}]}',
    SAME_WITH_DEFAULTS,
    '\ufeff{"gtin":"9506000134352","items":[{"lot":"A","serial":"1"}]}',
]
OTHERS = [
    '{"gtin":"9506000134352","items":[{"lot":"A","serial":"2"}]}',
    '{"gtin":"9506000134352","items":[{"lot":"1","serial":"A"}]}',
    '{"gtin":"9506000134352","items":[{"lot":"A","serial":"1"},{"lot":"A","serial":"2"}]}',
    '{"gtin":"9506000134352","size":401,"items":[{"lot":"A","serial":"1"}]}',
    '{"gtin":"4006381333931","items":[{"lot":"A","serial":"1"}]}',
]


@pytest.mark.parametrize("body", SAME)
def test_a_body_of_the_same_meaning_is_a_replay(client: TestClient, body: str) -> None:
    first = post(client, SAME[0].encode(), headers=KEY)
    again = post(client, body.encode(), headers=KEY)
    assert again.status_code == 202, again.text
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json == first.json


def test_a_csv_body_of_the_same_meaning_is_a_replay(client: TestClient) -> None:
    first = post(client, SAME[0].encode(), headers=KEY)
    query = {"query_string": f"gtin={GTIN}", "headers": KEY}
    for rows in (b"lot,serial\nA,1\n", b"sep=;\r\nSN;Batch;\r\n1;A;\r\n;;\r\n"):
        again = post(client, rows, "text/csv", **query)
        assert again.json == first.json
        assert again.headers["idempotency-replayed"] == "true"


def test_csv_of_the_same_items_is_a_replay_although_its_warnings_name_other_places(
    client: TestClient,
) -> None:
    query = {"query_string": f"gtin={GTIN}", "headers": KEY}
    first = post(client, b"lot,expiry\nNone,271200\n", "text/csv", **query)
    assert first.json["warnings_total"] == 2
    for rows in (
        b"lot,expiry\r\nNone,271200\r\n",
        b"sep=,\nlot,expiry\nNone,271200\n",
        b"expiry,lot\n271200,None\n",
    ):
        again = post(client, rows, "text/csv", **query)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json == first.json
    items = {"gtin": GTIN, "items": [{"expiry": "271200", "lot": "None"}]}
    assert post(client, items, headers=KEY).json == first.json


@pytest.mark.parametrize("body", OTHERS)
def test_a_body_of_another_meaning_is_refused(client: TestClient, body: str) -> None:
    post(client, SAME[0].encode(), headers=KEY)
    other = post(client, body.encode(), headers=KEY)
    assert_problem(other, HTTPStatus.UNPROCESSABLE_ENTITY, "key_reused")


def test_a_member_that_occurs_twice_is_a_400_that_names_it(
    client: TestClient, operator: TestClient, redis_url: str, bucket: Bucket
) -> None:
    before = contents(redis_url, bucket)
    items = b'[{"serial":"1"}]'
    for sent, pointer in (
        (b'{"gtin":"%s","items":%s,"items":%s}' % (GTIN.encode(), items, items), "/items"),
        (b'{"gtin":"%s","items":[{},{"lot":"A","lot":"B"}]}' % GTIN.encode(), "/items/1/lot"),
    ):
        for query in ("", "dry_run=true"):
            answer = post(client, sent, query_string=query)
            problem = assert_problem(answer, HTTPStatus.BAD_REQUEST, "malformed_json")
            assert [each["pointer"] for each in problem["errors"]] == [pointer]
    one = client.simulate_post(
        "/qr/", body=b'{"gtin":"1","lot":"A","lot":"B"}', content_type="application/json"
    )
    assert "'lot'" in assert_problem(one, HTTPStatus.BAD_REQUEST, "malformed_json")["detail"]
    key = operator.simulate_post(
        "/keys/",
        body=b'{"name":"x","role":"client","role":"operator"}',
        content_type="application/json",
    )
    assert "'role'" in assert_problem(key, HTTPStatus.BAD_REQUEST, "malformed_json")["detail"]
    assert contents(redis_url, bucket) == before


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
def test_json_in_another_encoding_is_named(client: TestClient, encoding: str) -> None:
    sent = json.dumps({"gtin": GTIN, "items": [{}]}).encode(encoding)
    problem = assert_problem(post(client, sent), HTTPStatus.BAD_REQUEST, "malformed_json")
    assert "UTF-16 or UTF-32" in problem["detail"]


def test_a_workbook_and_windows_1252_are_named(client: TestClient) -> None:
    for sent, word in (
        (b"PK\x03\x04\x14\0xl/workbook.xml", "Excel workbook"),
        ("lot\nM\u00fcller\n".encode("cp1252"), "Windows-1252"),
    ):
        answer = post(client, sent, "text/csv", query_string=f"gtin={GTIN}")
        problem = assert_problem(answer, HTTPStatus.BAD_REQUEST, "malformed_csv")
        assert word in problem["detail"]
        assert "CSV UTF-8" in problem["detail"]
