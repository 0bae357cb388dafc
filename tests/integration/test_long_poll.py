"""Polls that wait for a job's end, and polls that ask only whether something changed."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from falcon.testing import Result, TestClient

from api.app import create_app
from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.waiters import CompletionWaiters
from pipeline.model.failure_reasons import Failure
from pipeline.model.jobs import JobStatus
from pipeline.model.records import Bundle
from pipeline.service import Service, Settings, open_service
from tests.staged import BUNDLE_TIMES
from tests.waiting import wait_for

if TYPE_CHECKING:
    from pipeline.model.states import State

GTIN = "9506000134352"
CANCELLED = Failure("cancelled", "The task was cancelled by request.", final=True)


def post(client: TestClient, items: int = 1) -> str:
    answer = client.simulate_post("/qr/bulk/", json={"gtin": GTIN, "items": [{}] * items})
    return str(answer.json["poll_url"])


def task_id_of(poll_url: str) -> str:
    return poll_url.split("/")[-2]


def wait_until_it_waits(service: Service, poll_url: str, polls: int = 1) -> None:
    waiters = service.jobs._waiters._waiters
    wait_for(lambda: len(waiters.get(task_id_of(poll_url), ())) == polls, "polls that wait")


def complete(ledger: Ledger, task_id: str) -> None:
    work = ledger.begin_chunk(task_id, 0, 60_000)
    assert work is not None
    staged = {"sha256": "00", "rows_bytes": 1, "bytes": 1}
    connection = ledger._client
    connection.hset(keys.staged(task_id), "0", str(staged).replace("'", '"'))
    assert ledger.claim_bundle(task_id, "a", 60_000, 3_600_000)
    expires_at = int(time.time()) + 86_400
    ledger.complete_job(
        task_id, "a", Bundle(bytes=1, sha256="00", expires_at=expires_at, times=BUNDLE_TIMES)
    )


@pytest.mark.parametrize(
    "end", [complete, lambda ledger, task_id: ledger.fail_job(task_id, CANCELLED)]
)
def test_a_poll_that_waits_is_answered_when_the_job_ends(
    client: TestClient, service: Service, ledger: Ledger, end: Callable[[Ledger, str], object]
) -> None:
    poll_url = post(client)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.simulate_get, poll_url, headers={"Prefer": "wait=20"})
        wait_until_it_waits(service, poll_url)
        assert not answer.done()
        end(ledger, task_id_of(poll_url))
        result = answer.result(timeout=5)
    assert result.json["status"] in {"completed", "failed"}
    assert result.headers["preference-applied"] == "wait=20"
    assert "retry-after" not in result.headers


def test_a_poll_that_waited_in_vain_says_how_far_the_job_is(client: TestClient) -> None:
    answer = client.simulate_get(post(client), headers={"Prefer": "wait=1"})
    assert (answer.status_code, answer.json["status"]) == (200, "pending")
    assert answer.headers["preference-applied"] == "wait=1"
    assert answer.headers["retry-after"]


def test_nobody_waits_for_a_job_that_has_ended_or_never_was(
    client: TestClient, ledger: Ledger
) -> None:
    poll_url = post(client)
    ledger.fail_job(task_id_of(poll_url), CANCELLED)
    unknown = poll_url.replace(task_id_of(poll_url), "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63")
    begun = time.monotonic()
    wait = {"Prefer": "wait=30"}
    assert client.simulate_get(poll_url, headers=wait).json["status"] == "failed"
    assert client.simulate_get(unknown, headers=wait).status_code == 404
    assert time.monotonic() - begun < 25


def test_over_the_share_a_poll_is_answered_at_once_and_says_that_it_did_not_wait(
    service: Service, settings: Settings, ledger: Ledger, token: str
) -> None:
    service.jobs._waiters = CompletionWaiters(ledger._client, 2)
    client = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    poll_url = post(client)
    wait = {"Prefer": "wait=20"}
    with ThreadPoolExecutor(2) as pool:
        held = [pool.submit(client.simulate_get, poll_url, headers=wait) for _ in range(2)]
        wait_until_it_waits(service, poll_url, 2)
        answer = client.simulate_get(poll_url, headers=wait)
        assert "preference-applied" not in answer.headers
        assert answer.headers["retry-after"]
        assert not any(one.done() for one in held)
        ledger.fail_job(task_id_of(poll_url), CANCELLED)
        assert {one.result(timeout=5).json["status"] for one in held} == {"failed"}


def test_many_wait_for_many_jobs_and_each_gets_its_own(
    client: TestClient, service: Service, ledger: Ledger
) -> None:
    polls = [post(client) for _ in range(8)]
    with ThreadPoolExecutor(16) as pool:
        wait = {"Prefer": "wait=20"}
        answers: dict[str, list[Future[Result]]] = {
            poll: [pool.submit(client.simulate_get, poll, headers=wait) for _ in range(2)]
            for poll in polls
        }
        for poll in polls[::-1]:
            ledger.fail_job(task_id_of(poll), CANCELLED)
            ended = [one.result(timeout=10).json for one in answers[poll]]
            assert {(task["task_id"], task["status"]) for task in ended} == {
                (task_id_of(poll), "failed")
            }
    assert not service.jobs._waiters._waiters


def test_an_end_that_nobody_heard_is_found_when_the_channel_is_back(
    client: TestClient, service: Service, ledger: Ledger
) -> None:
    poll_url = post(client)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.simulate_get, poll_url, headers={"Prefer": "wait=30"})
        wait_until_it_waits(service, poll_url)
        # The job ends between the loss of the connection and the next subscription.
        with ledger._client.pipeline() as pipe:
            pipe.client_kill_filter(_type="pubsub")
            pipe.hset(keys.job(task_id_of(poll_url)), "state", "failed")
            pipe.execute()
        assert answer.result(timeout=10).json["status"] == "failed"


def test_a_process_that_stops_lets_nobody_wait(client: TestClient, service: Service) -> None:
    poll_url = post(client)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.simulate_get, poll_url, headers={"Prefer": "wait=30"})
        wait_until_it_waits(service, poll_url)
        service.jobs.stop_waiting()
        result = answer.result(timeout=10)
    assert (result.status_code, result.json["status"]) == (200, "pending")
    again = client.simulate_get(poll_url, headers={"Prefer": "wait=30"})
    assert "preference-applied" not in again.headers


def test_no_end_is_missed_however_it_falls_between_looking_and_waiting(
    settings: Settings, ledger: Ledger
) -> None:
    """The job ends at the worst moment: after the last look and before the wait."""
    endings = CompletionWaiters(open_redis(settings.redis_url, timeout=5, decode=True), 1)
    looks: list[State] = []

    def look() -> JobStatus:
        state: State = "running" if len(looks) < 2 else "failed"
        looks.append(state)
        if len(looks) == 2:
            ledger._client.publish(keys.ENDED, "task")
        return JobStatus(
            task_id="task",
            key_id="key",
            key_name="name",
            state=state,
            gtin="",
            format="png",
            size=400,
            items=1,
            processed_items=0,
            chunk_size=1,
            chunks=1,
            staged=0,
            failed=0,
            created_at=0,
        )

    awaited = endings.wait("task", 20, look)
    endings.close()
    assert awaited.job is not None
    assert awaited.job.state == "failed"


def test_a_poll_that_changed_nothing_is_a_304_without_signing(
    client: TestClient, service: Service, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll_url = post(client)
    first = client.simulate_get(poll_url)
    tag = first.headers["etag"]
    assert tag == client.simulate_get(poll_url).headers["etag"]
    unchanged = client.simulate_get(poll_url, headers={"If-None-Match": f'"x", {tag}'})
    assert (unchanged.status_code, unchanged.content) == (304, b"")
    assert unchanged.headers["etag"] == tag
    assert unchanged.headers["retry-after"]
    assert unchanged.headers["ratelimit-limit"]
    complete(ledger, task_id_of(poll_url))
    changed = client.simulate_get(poll_url, headers={"If-None-Match": tag})
    assert (changed.status_code, changed.json["status"]) == (200, "completed")
    signed: list[str] = []
    monkeypatch.setattr(service.downloads, "sign", lambda task_id, _bundle: signed.append(task_id))
    tag = changed.headers["etag"]
    assert client.simulate_get(poll_url, headers={"If-None-Match": tag}).status_code == 304
    assert signed == []


def test_a_poll_of_a_completed_task_computes_the_lifetime_of_its_url_once(
    client: TestClient, service: Service, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    poll_url = post(client)
    complete(ledger, task_id_of(poll_url))
    computed: list[int] = []
    lifetime = service.downloads.lifetime

    def counted(bundle: Bundle) -> int:
        computed.append(lifetime(bundle))
        return computed[-1]

    monkeypatch.setattr(service.downloads, "lifetime", counted)
    answer = client.simulate_get(poll_url)
    assert (answer.status_code, len(computed)) == (200, 1)
    assert f"X-Amz-Expires={computed[0]}&" in answer.json["download_url"]


def test_a_304_costs_one_round_trip_beside_the_key_and_its_rates(
    client: TestClient, ledger: Ledger
) -> None:
    poll_url = post(client)
    tag = client.simulate_get(poll_url).headers["etag"]
    job = keys.job(task_id_of(poll_url)).removesuffix(":job")
    with ledger._client.monitor() as monitor:  # type: ignore[no-untyped-call] # redis-py
        thread = threading.Thread(
            target=client.simulate_get, args=(poll_url,), kwargs={"headers": {"If-None-Match": tag}}
        )
        thread.start()
        thread.join()
        ledger._client.set("qrmill:seen", 1)
        seen = []
        for command in monitor.listen():
            if "qrmill:seen" in command["command"]:
                break
            seen.append(command["command"])
    about_the_job = [command.split()[0] for command in seen if job in command]
    assert about_the_job == ["HGETALL", "HLEN", "HLEN"]


def test_the_tag_changes_while_the_download_url_held_still_works(
    settings: Settings, ledger: Ledger, token: str
) -> None:
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    short = Settings(**{**values, "download_url_ttl": 2})
    client = TestClient(create_app(open_service(short), short), headers={"X-API-Key": token})
    poll_url = post(client)
    complete(ledger, task_id_of(poll_url))
    tag = client.simulate_get(poll_url).headers["etag"]
    wait_for(lambda: client.simulate_get(poll_url).headers["etag"] != tag, "another tag")


def test_redis_away_at_the_end_of_the_wait_is_a_503(
    client: TestClient, service: Service, ledger: Ledger
) -> None:
    poll_url = post(client)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.simulate_get, poll_url, headers={"Prefer": "wait=1"})
        wait_until_it_waits(service, poll_url)
        ledger._client.client_pause(5000)
        result = answer.result(timeout=10)
    ledger._client.client_unpause()
    assert (result.status_code, result.json["error_code"]) == (503, "unavailable")
