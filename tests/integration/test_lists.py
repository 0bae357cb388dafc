"""Lists of jobs and chunks, over a real Redis."""

import base64
import uuid
from collections.abc import Iterator
from typing import Any

import dramatiq
import msgspec
import pytest
from falcon.testing import TestClient
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from api.app import create_app
from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis
from pipeline.ledger.entries import flat_fields
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.listing import JobFilter, Listing, Position
from pipeline.model.failure_reasons import Failure
from pipeline.model.jobs import Item, JobRequest
from pipeline.model.records import RequestHead
from pipeline.model.request_object import Acceptance, encode_head
from pipeline.service import Service, Settings
from tests.contract.test_ledger import new_head
from tests.encoded import encoded

GTIN = "9506000134352"
HOUR = 3_600_000
NOW = 1_795_000_000
Tasks = list[dict[str, Any]]


def post(client: TestClient, items: int = 1, **fields: str) -> str:
    answer = client.simulate_post("/qr/bulk/", json={"gtin": GTIN, "items": [{}] * items, **fields})
    assert answer.status_code == 202, answer.text
    return str(answer.json["task_id"])


def pages(client: TestClient, **query: str) -> Iterator[Tasks]:
    cursor: dict[str, str] = {}
    while True:
        answer = client.simulate_get("/qr/bulk/", params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        yield answer.json["tasks"]
        if answer.json["next_cursor"] is None:
            return
        cursor = {"cursor": answer.json["next_cursor"]}


def listed(client: TestClient, **query: str) -> list[str]:
    return [task["task_id"] for page in pages(client, **query) for task in page]


def test_jobs_are_listed_newest_first_and_jobs_that_arrive_meanwhile_change_no_page(
    client: TestClient,
) -> None:
    first = [post(client) for _ in range(7)]
    found = []
    for page in pages(client, limit="3"):
        found += [task["task_id"] for task in page]
        post(client)
    assert found == first[::-1]
    assert len(listed(client)) == 10


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, 100),
        ({"state": "failed"}, 100),  # none
        ({"state": "pending"}, 100),  # every one
        ({"gtin": "rare"}, 100),  # one of a thousand
        ({"state": "pending", "gtin": "rare"}, 3),
    ],
)
def test_no_script_reads_more_than_a_few_hundred_jobs(
    settings: Settings, fields: dict[str, str], limit: int
) -> None:
    with open_redis(settings.redis_url, timeout=5, decode=True) as connection:
        head = new_head()
        entries = {str(uuid.UUID(int=number)): NOW + number // 3 for number in range(6000)}
        with connection.pipeline(transaction=False) as pipe:
            for number, task_id in enumerate(entries):
                fresh = msgspec.structs.replace(head, task_id=task_id)
                flat = [str(part) for part in flat_fields(fresh)]
                entry = dict(zip(flat[::2], flat[1::2], strict=True))
                gtin = "rare" if number % 1000 == 0 else entry["gtin"]
                states = {"state": "pending", "created_at": entries[task_id], "gtin": gtin}
                pipe.hset(keys.job(task_id), mapping={**entry, **states, "processed_items": 0})
            pipe.zadd(keys.ALL_JOBS, entries)
            pipe.execute()
        listing = Listing(connection, Ledger(connection))
        listing.jobs(JobFilter(tenant=None, fields=fields), 1, None)  # the script is there now
        found: list[str] = []
        after: Position | None = None
        while True:
            connection.config_resetstat()
            page = listing.jobs(JobFilter(tenant=None, fields=fields), limit, after)
            stats: dict[str, Any] = connection.info("commandstats")
            scripts = stats["cmdstat_evalsha"]["calls"]
            reads = stats.get("cmdstat_hmget", {"calls": 0})["calls"]
            assert reads <= 250 * scripts
            assert reads <= 5000
            found += [job.task_id for job in page.jobs]
            after = page.next
            if after is None:
                break
    wanted = [
        task_id
        for number, task_id in enumerate(entries)
        if fields.get("state") != "failed" and ("gtin" not in fields or number % 1000 == 0)
    ]
    assert found == sorted(wanted, key=lambda task_id: (entries[task_id], task_id), reverse=True)


def test_a_row_tells_what_the_job_is(client: TestClient) -> None:
    task_id = post(client, items=12, format="svg")
    (row,) = client.simulate_get("/qr/bulk/").json["tasks"]
    poll = client.simulate_get(row["poll_url"]).json
    assert row["task_id"] == poll["task_id"] == task_id
    same = ("status", "processed_items", "total_items", "created_at", "finished_at", "error")
    assert [row[name] for name in same] == [poll[name] for name in same]
    assert (row["gtin"], row["format"], row["key"]) == (f"0{GTIN}", "svg", "client")


def test_jobs_are_filtered_by_state_gtin_and_time(client: TestClient) -> None:
    other = "4006381333931"
    kept, cancelled, of_other = post(client), post(client), post(client, gtin=other)
    client.simulate_delete(f"/qr/bulk/{cancelled}/")
    assert listed(client, status="failed") == [cancelled]
    assert listed(client, status="pending") == [of_other, kept]
    assert listed(client, gtin=other) == [of_other]
    created = client.simulate_get(f"/qr/bulk/{cancelled}/").json["created_at"]
    later = client.simulate_get(f"/qr/bulk/{of_other}/").json["created_at"]
    assert cancelled in listed(client, created_since=created)
    assert kept in listed(client, created_before=created) or created == later
    assert cancelled not in listed(client, created_before=created)
    assert listed(client, created_since="2099-01-01T00:00:00Z") == []


def test_a_client_lists_its_own_jobs_and_an_operator_those_of_all(
    client: TestClient, operator: TestClient, service: Service, settings: Settings
) -> None:
    token = service.api_keys.create(name="another", role="client").token
    another = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    mine, theirs = [post(client), post(client)], [post(another)]
    assert listed(client) == mine[::-1]
    assert listed(another) == theirs
    assert listed(operator) == theirs + mine[::-1]
    assert listed(operator, key="another") == theirs
    assert listed(operator, key="nobody") == []
    # A cursor of another key is a place in time, not a way into its list.
    cursor = client.simulate_get("/qr/bulk/", params={"limit": 1}).json["next_cursor"]
    assert set(listed(another, cursor=cursor)) <= set(theirs)
    assert another.simulate_get("/qr/bulk/", params={"key": "client"}).status_code == 403


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"limit": "0"}, "/limit"),
        ({"limit": "many"}, "many"),
        ({"statuss": "failed"}, "statuss"),
        ({"status": "done"}, "done"),
        ({"created_since": "yesterday"}, "yesterday"),
        ({"created_since": "2026-11-23T00:00:00"}, "/created_since"),
        ({"created_since": "null"}, "null"),
        ({"status": "null"}, "null"),
        ({"gtin": "9506000134353"}, "/gtin"),
        ({"cursor": "x"}, "next_cursor"),
        ({"cursor": base64.urlsafe_b64encode(b"1.2").decode()}, "next_cursor"),
        ({"status": ["failed", "failed"]}, "status"),
    ],
)
def test_a_wrong_query_is_refused_by_name(
    client: TestClient, query: dict[str, Any], named: str
) -> None:
    answer = client.simulate_get("/qr/bulk/", params=query, params_csv=False)
    assert answer.status_code == 422
    assert answer.json["error_code"] == "invalid_request"
    (error,) = answer.json["errors"]
    assert named in error["pointer"] + error["detail"]


def test_the_chunks_of_a_job_are_told_one_by_one(
    client: TestClient,
    worker: dramatiq.Worker,  # noqa: ARG001 - it works
) -> None:
    task_id = post(client, items=35)
    path = f"/qr/bulk/{task_id}/chunks/"
    poll = {"Prefer": "wait=30"}
    assert client.simulate_get(f"/qr/bulk/{task_id}/", headers=poll).json["status"] == "completed"
    rows = client.simulate_get(path).json["chunks"]
    assert [(row["first_item"], row["last_item"]) for row in rows] == [
        (1, 10),
        (11, 20),
        (21, 30),
        (31, 35),
    ]
    assert {(row["state"], row["attempts"], row["error"]) for row in rows} == {("staged", 1, None)}


def test_chunks_that_wait_run_and_fail_are_told_apart(client: TestClient, ledger: Ledger) -> None:
    task_id = post(client, items=35)
    ledger.begin_chunk(task_id, 1, 60_000)
    for _ in range(2):
        ledger.begin_chunk(task_id, 2, 60_000)
        ledger.record_attempt_error(task_id, 2, Failure("storage_unavailable", "A try failed."))
    ledger.begin_chunk(task_id, 3, 60_000)
    ledger.fail_job(task_id, Failure("render_failed", "Chunk 3 failed."), 3)
    rows = client.simulate_get(f"/qr/bulk/{task_id}/chunks/").json["chunks"]
    assert [(row["state"], row["attempts"], row["error_code"]) for row in rows] == [
        ("pending", 0, None),
        ("running", 1, None),
        ("running", 2, "storage_unavailable"),
        ("failed", 1, "render_failed"),
    ]
    assert rows[3]["error"] == "Chunk 3 failed."


def test_chunks_come_in_pages_and_only_to_those_who_may_see_the_job(
    client: TestClient, operator: TestClient, service: Service, settings: Settings
) -> None:
    task_id = post(client, items=45)
    path = f"/qr/bulk/{task_id}/chunks/"
    first = operator.simulate_get(path, params={"limit": 2}).json
    second = client.simulate_get(path, params={"limit": 2, "cursor": first["next_cursor"]}).json
    third = client.simulate_get(path, params={"limit": 2, "cursor": second["next_cursor"]}).json
    indexes = [row["index"] for page in (first, second, third) for row in page["chunks"]]
    assert (indexes, third["next_cursor"]) == ([0, 1, 2, 3, 4], None)
    token = service.api_keys.create(name="another", role="client").token
    another = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    unknown = f"/qr/bulk/{uuid.uuid4()}/chunks/"
    assert another.simulate_get(path).status_code == 404
    assert another.simulate_get(unknown).status_code == 404
    assert client.simulate_get("/qr/bulk/17/chunks/").status_code == 422


def _enter(ledger: Ledger, created_at: int, state: str) -> RequestHead:
    request = JobRequest(
        gtin="00012345678905",
        items=encoded([Item()], 250),
        format="png",
        size=400,
        error_correction="Q",
        link_base="https://id.gs1.org",
    )
    acceptance = Acceptance(str(uuid.uuid4()), "key", NOW * 1000, None, "name")
    head = encode_head(request, acceptance)[0]
    ledger.create_job(head, created_at, 100, HOUR)
    if state == "failed":
        ledger.fail_job(head.task_id, Failure("cancelled", "", final=True))
    return head


@examples(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    jobs=st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["pending", "failed"])), max_size=9),
    limit=st.integers(1, 4),
    since=st.none() | st.integers(0, 4),
    before=st.none() | st.integers(0, 5),
    state=st.none() | st.sampled_from(["pending", "failed"]),
)
def test_pages_together_are_the_whole_list(  # noqa: PLR0917 - hypothesis gives each
    settings: Settings,
    ledger: Ledger,
    jobs: list[tuple[int, str]],
    limit: int,
    since: int | None,
    before: int | None,
    state: str | None,
) -> None:
    client = open_redis(settings.redis_url, timeout=5, decode=True)
    client.flushall()
    entered = [
        (NOW + offset, _enter(ledger, NOW + offset, st_).task_id, st_) for offset, st_ in jobs
    ]
    expected = [
        task_id
        for created, task_id, its_state in sorted(entered, reverse=True)
        if (since is None or created >= NOW + since)
        and (before is None or created < NOW + before)
        and state in {None, its_state}
    ]
    wanted = JobFilter(
        tenant="key",
        fields={} if state is None else {"state": state},
        since=None if since is None else NOW + since,
        before=None if before is None else NOW + before,
    )
    listing, found, after = Listing(client, ledger), [], None
    while True:
        page = listing.jobs(wanted, limit, after)
        assert len(page.jobs) <= limit
        found += [job.task_id for job in page.jobs]
        after = page.next
        if after is None:
            break
        assert isinstance(after, Position)
    assert found == expected


def test_a_cursor_leads_to_nothing_that_was_created_too_late(
    settings: Settings, ledger: Ledger
) -> None:
    tasks = [_enter(ledger, NOW + number, "pending").task_id for number in range(4)]
    listing = Listing(open_redis(settings.redis_url, timeout=5, decode=True), ledger)

    def found(before: int, after: int) -> list[str]:
        wanted = JobFilter(tenant="key", fields={}, before=NOW + before)
        page = listing.jobs(wanted, 9, Position(NOW + after, tasks[after]))
        return [job.task_id for job in page.jobs]

    assert found(2, 3) == [tasks[1], tasks[0]]
    assert found(2, 2) == [tasks[1], tasks[0]]
    assert found(2, 1) == [tasks[0]]
    assert found(4, 2) == [tasks[1], tasks[0]]


def test_a_list_of_ten_thousand_jobs_looks_at_a_bounded_part_of_them(
    settings: Settings, ledger: Ledger
) -> None:
    client = open_redis(settings.redis_url, timeout=5, decode=True)
    with client.pipeline(transaction=False) as pipe:
        for number in range(10_000):
            task_id = str(uuid.UUID(int=number))
            pipe.hset(keys.job(task_id), mapping={"state": "completed"})
            pipe.zadd(keys.ALL_JOBS, {task_id: NOW + number})
        pipe.execute()
    rare = _enter(ledger, NOW - 1, "failed")
    wanted = JobFilter(tenant=None, fields={"state": "failed"})
    listing, after, found, asked = Listing(client, ledger), None, [], 0
    while True:
        page = listing.jobs(wanted, 50, after)
        asked += 1
        found += [job.task_id for job in page.jobs]
        after = page.next
        if after is None:
            break
    assert found == [rare.task_id]
    assert asked == 3
