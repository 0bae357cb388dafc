"""The base part of the HTTP contract, as a client that knows nothing else sees it."""

import io
import json
import time
import uuid
import zipfile
from contextlib import suppress
from datetime import datetime
from typing import Any

import httpx2
import pytest

from deploy.embedded.running import RunningStack
from tests.waiting import wait_for

GTIN = "9506000134352"
TERMINAL = {"completed", "failed"}


def submit(client: httpx2.Client, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    answer = client.post("/qr/bulk/", json={"gtin": GTIN, **fields})
    assert answer.status_code == 202, answer.text
    accepted: dict[str, Any] = answer.json()
    return accepted


def follow(client: httpx2.Client, poll_url: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        answer = client.get(poll_url)
        assert answer.status_code == 200, answer.text
        polled: dict[str, Any] = answer.json()
        return polled if polled["status"] in TERMINAL else None

    return wait_for(look, "the task's end", seconds=120, pause=0.25)


def bundle_of(status: dict[str, Any]) -> zipfile.ZipFile:
    assert status["status"] == "completed", status
    return zipfile.ZipFile(io.BytesIO(httpx2.get(status["download_url"], trust_env=False).content))


@pytest.mark.parametrize(
    ("fields", "ending", "magic"),
    [({}, "png", b"\x89PNG\r\n\x1a\n"), ({"format": "svg", "size": 50}, "svg", b"<svg ")],
)
def test_a_request_becomes_a_zip_of_images(
    client: httpx2.Client, fields: dict[str, Any], ending: str, magic: bytes
) -> None:
    items = [{"lot": "L/1", "serial": "007"}, {"serial": "8", "expiry": "270200"}, {}]
    accepted = submit(client, items=items, **fields)
    assert set(accepted) >= {"task_id", "status", "items", "poll_url"}
    assert uuid.UUID(accepted["task_id"]).version == 4
    assert (accepted["status"], accepted["items"]) == ("pending", 3)
    assert accepted["poll_url"] == f"/qr/bulk/{accepted['task_id']}/"
    status = follow(client, accepted["poll_url"])
    assert (status["task_id"], status["items"], status["error"]) == (accepted["task_id"], 3, None)
    expires = datetime.fromisoformat(status["expires_at"])
    assert 3000 < expires.timestamp() - time.time() <= 3600
    with bundle_of(status) as archive:
        names = archive.namelist()
        assert names[:2] == ["manifest.csv", "manifest.json"]
        images = [name for name in names[2:] if name != "warnings.json"]
        assert images == [f"00001_L-1_007.{ending}", f"00002_8.{ending}", f"00003.{ending}"]
        assert all(archive.read(name).startswith(magic) for name in images)
        rows = json.loads(archive.read("manifest.json"))
    assert [row["uri"] for row in rows] == [
        "https://id.gs1.org/01/09506000134352/10/L%2F1/21/007",
        "https://id.gs1.org/01/09506000134352/21/8?17=270200",
        "https://id.gs1.org/01/09506000134352",
    ]


def test_a_level_of_error_correction_is_kept_or_exceeded(client: httpx2.Client) -> None:
    manifests = {}
    for level in "LMQH":
        accepted = submit(client, items=[{"serial": "1"}] * 3, error_correction=level)
        with bundle_of(follow(client, accepted["poll_url"])) as archive:
            manifests[level] = json.loads(archive.read("manifest.json"))
    levels = {asked: rows[0]["error_correction"] for asked, rows in manifests.items()}
    assert all("LMQH".index(got) >= "LMQH".index(asked) for asked, got in levels.items())
    versions = [rows[0]["version"] for rows in manifests.values()]
    assert versions == sorted(versions)
    assert versions[0] < versions[3]


def test_a_download_url_is_signed_anew_and_needs_its_signature(client: httpx2.Client) -> None:
    poll_url = submit(client, items=[{}])["poll_url"]
    first = follow(client, poll_url)["download_url"]
    # The signature's time has whole seconds, so a later poll shows another one.
    wait_for(lambda: client.get(poll_url).json()["download_url"] != first, "a new URL", seconds=5)
    assert httpx2.get(first, trust_env=False).status_code == 200
    forged = first[:-1] + ("1" if first.endswith("0") else "0")
    for url in (first.partition("?")[0], forged):
        assert httpx2.get(url, trust_env=False).status_code in {400, 403}


def test_the_same_request_twice_gives_members_of_equal_bytes(client: httpx2.Client) -> None:
    items = [{"lot": "A", "serial": f"{index:04}"} for index in range(300)]
    polls = [submit(client, items=items)["poll_url"] for _ in range(2)]
    first, second = (bundle_of(follow(client, poll_url)) for poll_url in polls)
    with first, second:
        assert first.namelist() == second.namelist()
        for name in first.namelist():
            assert first.read(name) == second.read(name)


def test_errors_are_of_the_documented_form(stack: RunningStack, client: httpx2.Client) -> None:
    bad = client.post("/qr/bulk/", json={"gtin": GTIN, "items": [{"lot": "a b"}]})
    unknown = client.get(f"/qr/bulk/{uuid.uuid4()}/")
    malformed = client.get("/qr/bulk/17/")
    nobody = httpx2.get(f"{stack.ready.api_url}/qr/bulk/{uuid.uuid4()}/", trust_env=False)
    expected = {422: bad, 404: unknown, 401: nobody}
    assert {code: answer.status_code for code, answer in expected.items()} == {
        code: code for code in expected
    }
    assert malformed.status_code == 422
    assert bad.json()["errors"][0]["pointer"] == "/items/0/lot"
    assert all(
        answer.headers["content-type"] == "application/problem+json"
        for answer in (bad, unknown, malformed, nobody)
    )


def test_a_body_over_the_limit_is_refused_without_being_read(client: httpx2.Client) -> None:
    sent = 0

    def endless() -> Any:  # noqa: ANN401 - a stream
        nonlocal sent
        while sent < 1_000_000_000:
            sent += 1_000_000
            yield b" " * 1_000_000

    headers = {"Content-Type": "application/json"}
    # The server may close the connection while there is more to send.
    with suppress(httpx2.WriteError):
        assert client.post("/qr/bulk/", content=endless(), headers=headers).status_code == 413
    assert sent < 100_000_000
    declared = client.post("/qr/bulk/", content=b" " * 6_000_000, headers=headers)
    assert declared.status_code == 413
    assert submit(client, items=[{}])["status"] == "pending"
