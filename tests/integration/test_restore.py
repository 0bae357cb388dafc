"""What is lost, late, cancelled or damaged ends all the same: the sweep, the poll, the re-run."""

import time
import uuid
from collections.abc import Callable, Iterator

import dramatiq
import pytest
import redis
from falcon.testing import Result, TestClient

from api.app import create_app
from api.openapi.problem_examples import problem_examples
from pipeline.broker.names import EXPRESS_QUEUE, RENDER_QUEUE
from pipeline.errors import UnavailableError
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.sweep import Sweep, open_sweep
from pipeline.model.jobs import Item, JobRequest
from pipeline.model.states import TERMINAL
from pipeline.service import Service, Settings, open_service
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.encoded import encoded
from tests.integration.conftest import StartWorker
from tests.lanes import key_in_lane
from tests.waiting import wait_for

ITEMS = [{"serial": f"{index:04}"} for index in range(25)]


@pytest.fixture
def sweep(settings: Settings) -> Sweep:
    return open_sweep(settings)


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def submit(client: TestClient, items: list[dict[str, str]] = ITEMS) -> str:
    answer = client.simulate_post("/qr/bulk/", json={"gtin": "9506000134352", "items": items})
    assert answer.status_code == 202, answer.text
    return str(answer.json["task_id"])


def poll(client: TestClient, task_id: str) -> Result:
    return client.simulate_get(f"/qr/bulk/{task_id}/")


def end_of(client: TestClient, task_id: str) -> Result:
    def look() -> Result | None:
        answer = poll(client, task_id)
        return answer if answer.json["status"] in TERMINAL else None

    return wait_for(look, "the task's end", pause=0.25)


def retry(client: TestClient, task_id: str) -> Result:
    return client.simulate_post(f"/qr/bulk/{task_id}/retry/")


def changed(settings: Settings, **fields: object) -> Settings:
    values = {name: getattr(settings, name) for name in settings.__struct_fields__}
    return Settings(**{**values, **fields})


@pytest.mark.usefixtures("worker")
def test_a_poll_brings_a_lost_job_back_at_once(client: TestClient, redis_url: str) -> None:
    done = submit(client)
    before = end_of(client, done).json["bundle"]
    flush(redis_url)
    assert poll(client, done).json["status"] == "completed"
    assert poll(client, done).json["bundle"] == before


@pytest.mark.parametrize("cancelled", [False, True])
def test_a_lost_job_comes_back_with_the_time_of_its_end_whatever_the_clock_of_who_ended_it(
    client: TestClient,
    start_worker: StartWorker,
    redis_url: str,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    *,
    cancelled: bool,
) -> None:
    task_id = submit(client)
    right = time.time_ns
    monkeypatch.setattr("time.time_ns", lambda: right() + 3_600_000_000_000)
    if cancelled:
        client.simulate_delete(f"/qr/bulk/{task_id}/")
    else:
        start_worker()
    before = end_of(client, task_id).json
    monkeypatch.undo()
    result = keys.result_object(task_id)
    wait_for(lambda: result in [*bucket.list_keys("jobs/")], "the record of its end")
    flush(redis_url)
    after = poll(client, task_id).json
    assert (after["status"], after["finished_at"]) == (before["status"], before["finished_at"])


def test_the_sweep_records_an_end_that_its_worker_did_not_live_to_record(
    *,
    client: TestClient,
    start_worker: StartWorker,
    sweep: Sweep,
    redis_url: str,
    bucket: Bucket,
    staging_bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sweep.once()
    with monkeypatch.context() as killed:
        killed.setattr("pipeline.maintenance.results.ResultRecorder.write", lambda *_: None)
        start_worker()
        task_id = submit(client)
        before = end_of(client, task_id).json
    assert sweep.once()  # its worker may be at it
    assert keys.result_object(task_id) not in [*bucket.list_keys("jobs/")]
    monkeypatch.setattr("pipeline.maintenance.retention._UNRECORDED", 0)
    assert sweep.once()
    assert keys.result_object(task_id) in [*bucket.list_keys("jobs/")]
    assert [*staging_bucket.list_keys("")] == []
    flush(redis_url)
    after = poll(client, task_id).json
    assert (after["bundle"], after["finished_at"]) == (before["bundle"], before["finished_at"])


def test_a_record_that_arrives_when_the_job_has_ended_anew_does_not_stand(
    *,
    client: TestClient,
    service: Service,
    start_worker: StartWorker,
    sweep: Sweep,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task_id = submit(client)
    put = service.jobs._results._records._bucket.put

    def late(key: str, data: bytes, content_type: str = "") -> None:
        monkeypatch.setattr(service.jobs._results._records._bucket, "put", put)
        assert retry(client, task_id).status_code == 202
        start_worker()
        end_of(client, task_id)
        put(key, data, content_type)

    monkeypatch.setattr(service.jobs._results._records._bucket, "put", late)
    client.simulate_delete(f"/qr/bulk/{task_id}/")
    monkeypatch.setattr("pipeline.maintenance.retention._UNRECORDED", 0)
    assert sweep.once()
    flush(redis_url)
    assert poll(client, task_id).json["status"] == "completed"


@pytest.mark.parametrize("end", ["none", "completed", "cancelled"])
@pytest.mark.parametrize("by", ["a poll", "the sweep"])
def test_a_job_that_is_restored_has_its_idempotency_key_again(
    *,
    client: TestClient,
    sweep: Sweep,
    start_worker: StartWorker,
    redis_url: str,
    bucket: Bucket,
    end: str,
    by: str,
) -> None:
    def send(serial: str = "1", white_space: str = "") -> Result:
        body = f'{{"gtin":"9506000134352",{white_space}"items":[{{"serial":"{serial}"}}]}}'
        headers = {"Idempotency-Key": "order 7", "Content-Type": "application/json"}
        return client.simulate_post("/qr/bulk/", body=body, headers=headers)

    task_id = send().json["task_id"]
    if end == "completed":
        start_worker()
        end_of(client, task_id)
        result = keys.result_object(task_id)
        wait_for(lambda: result in [*bucket.list_keys("jobs/")], "the record of its end")
    elif end == "cancelled":
        client.simulate_delete(f"/qr/bulk/{task_id}/")
    flush(redis_url)
    if by == "a poll":
        poll(client, task_id)
    else:
        assert sweep.once()
    for again in (send(), send(white_space=" ")):
        assert (again.status_code, again.json["task_id"]) == (202, task_id)
        assert again.headers["idempotency-replayed"] == "true"
    other = send(serial="2")
    assert (other.status_code, other.json["error_code"]) == (422, "key_reused")
    requests = [name for name in bucket.list_keys("jobs/") if name.endswith("request.json")]
    assert len(requests) == 1


def test_a_restored_key_lasts_no_longer_than_it_would_have(
    client: TestClient, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Idempotency-Key": "order 7"}
    body = {"gtin": "9506000134352", "items": [{}]}
    lifetimes = []
    for hours in (0, 23, 25):
        sent = client.simulate_post("/qr/bulk/", json=body, headers=headers).json["task_id"]
        connection.flushall()
        right = time.time
        with monkeypatch.context() as later:
            later.setattr("time.time", lambda: right() + hours * 3600)  # noqa: B023 - used at once
            poll(client, sent)
        (name,) = connection.keys("qrmill:idempotency:*") or [""]
        lifetimes.append(round(connection.pttl(name) / 3_600_000) if name else None)
        connection.flushall()
    assert lifetimes == [24, 1, None]


@pytest.mark.parametrize("error_code", ["cancelled", "deadline"])
@pytest.mark.parametrize("by", ["the next sweeps", "the hourly comparison"])
def test_a_record_that_arrives_during_a_re_run_does_not_end_it(
    *,
    client: TestClient,
    sweep: Sweep,
    connection: redis.Redis,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    error_code: str,
    by: str,
) -> None:
    monkeypatch.setattr("pipeline.maintenance.retention._UNRECORDED", 0)
    task_id = submit(client)
    if error_code == "cancelled":
        client.simulate_delete(f"/qr/bulk/{task_id}/")
    else:
        connection.hset(ledger_keys.job(task_id), "deadline_at", 1)
    assert sweep.once()
    late = bucket.get(keys.result_object(task_id))
    assert error_code.encode() in late
    assert retry(client, task_id).status_code == 202
    if by == "the hourly comparison":
        assert sweep.once()
        assert not connection.exists(ledger_keys.UNRECORDED)
    bucket.put(keys.result_object(task_id), late)
    if by == "the hourly comparison":
        assert [*sweep._reconciler.steps()]
    else:
        assert sweep.once()
    assert keys.result_object(task_id) not in [*bucket.list_keys("jobs/")]
    connection.flushall()
    assert poll(client, task_id).json["status"] == "pending"


@pytest.mark.parametrize("by", ["the next sweeps", "the hourly comparison"])
def test_a_record_that_is_deleted_by_mistake_is_written_again(
    *,
    client: TestClient,
    sweep: Sweep,
    bucket: Bucket,
    connection: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    by: str,
) -> None:
    monkeypatch.setattr("pipeline.maintenance.retention._UNRECORDED", 0)
    task_id = submit(client)
    client.simulate_delete(f"/qr/bulk/{task_id}/")
    assert sweep.once()
    late = bucket.get(keys.result_object(task_id))
    retry(client, task_id)
    bucket.put(keys.result_object(task_id), late)
    records = (
        sweep._reconciler._recovery if "hourly" in by else sweep._retention._results
    )._records
    delete = records.delete_result

    def end_first(task_id: str) -> None:
        client.simulate_delete(f"/qr/bulk/{task_id}/")
        delete(task_id)

    monkeypatch.setattr(records, "delete_result", end_first)
    if "hourly" in by:
        assert [*sweep._reconciler.steps()]
    else:
        assert sweep.once()
    assert keys.result_object(task_id) not in [*bucket.list_keys("jobs/")]
    monkeypatch.undo()
    monkeypatch.setattr("pipeline.maintenance.retention._UNRECORDED", 0)
    connection.zadd(ledger_keys.UNRECORDED, {task_id: 1}, xx=True)  # as if the time had passed
    assert sweep.once()
    assert bucket.get(keys.result_object(task_id)) != late


def flush(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()


def test_an_unfinished_job_is_found_again_under_its_id_by_its_owner_alone(
    client: TestClient, operator: TestClient, redis_url: str
) -> None:
    task_id = submit(client)
    flush(redis_url)
    assert poll(client, task_id).json["status"] == "pending"
    assert poll(operator, task_id).status_code == 200
    assert poll(client, str(uuid.uuid4())).status_code == 404


def test_a_job_of_so_many_chunks_that_its_head_is_long_is_found_again(
    client: TestClient, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.storage.records._HEAD_BYTES", 64)  # it takes several reads
    task_id = submit(client)
    flush(redis_url)
    assert poll(client, task_id).json["chunks"] == {"total": 3, "staged": 0, "failed": 0}


@pytest.mark.parametrize(
    ("damaged", "strangers"), [(keys.request_object, 500), (keys.result_object, 404)]
)
def test_a_damaged_job_is_told_as_that_to_whom_it_may_concern(
    *,
    client: TestClient,
    operator: TestClient,
    service: Service,
    settings: Settings,
    redis_url: str,
    capsys: pytest.CaptureFixture[str],
    damaged: Callable[[str], str],
    strangers: int,
) -> None:
    task_id = submit(client)
    assert client.simulate_delete(f"/qr/bulk/{task_id}/").status_code == 200
    service.jobs._records._bucket.put(damaged(task_id), b"nothing\n")
    flush(redis_url)
    token = service.api_keys.create(name="other", role="client").token
    stranger = TestClient(create_app(service, settings), headers={"X-API-Key": token})
    for asking in (client, operator):
        answer = poll(asking, task_id)
        assert (answer.status_code, answer.json["error_code"]) == (500, "unreadable")
        assert "damaged" in answer.json["detail"]
    # Only where it cannot be told whose it is do others learn that there is something.
    assert poll(stranger, task_id).status_code == strangers
    logged = "".join(capsys.readouterr())
    assert f"{damaged(task_id)} is damaged: it cannot be decoded" in logged
    assert "Traceback" not in logged


@pytest.mark.parametrize(
    "damage",
    [
        (keys.request_object, b""),
        (keys.request_object, b"no newline" * 100),
        (keys.request_object, b"\xff\xfe\n"),
        (keys.result_object, b"{}"),
        (keys.callback_object, b"{}"),
    ],
)
def test_a_job_that_cannot_be_read_keeps_no_other_from_coming_back(
    service: Service,
    sweep: Sweep,
    redis_url: str,
    damage: tuple[Callable[[str], str], bytes],
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = key_in_lane(service.api_keys, 0, name="client", role="client").key
    request = JobRequest(
        gtin="09506000134352",
        items=encoded([Item()], 10),
        format="svg",
        size=400,
        error_correction="M",
        link_base="https://id.gs1.org",
        callback_url="https://hooks.example.com/",
    )
    tasks = sorted(service.submission.submit(request, key).task_id for _ in range(3))
    for task_id in tasks:
        service.jobs.cancel(task_id, key)
    damaged = damage[0](tasks[1])
    service.jobs._records._bucket.put(damaged, damage[1])
    flush(redis_url)
    sent: list[str] = []
    sweep._reconciler._records._bucket._client.meta.events.register(
        "before-send.s3.GetObject", lambda **_: sent.append("GET")
    )
    assert sweep.once()
    states = [service.jobs._ledger.status(task_id) for task_id in tasks]
    assert [state is not None for state in states] == [True, False, True]
    logged = "".join(capsys.readouterr())
    assert f"{damaged} " in logged
    assert "no newline" not in logged
    assert len(sent) < 12


def test_redis_loses_everything_in_the_middle_of_twenty_jobs(
    client: TestClient, worker: dramatiq.Worker, sweep: Sweep, redis_url: str
) -> None:
    assert sweep.once()
    tasks = [submit(client) for _ in range(20)]
    wait_for(
        lambda: poll(client, tasks[3]).json["status"] == "completed", "some have ended", pause=0.2
    )
    flush(redis_url)
    assert sweep.once()
    assert worker.worker_threads
    ended = [end_of(client, task_id).json for task_id in tasks]
    assert [task["status"] for task in ended] == ["completed"] * 20
    assert {task["items"] for task in ended} == {25}


def test_messages_that_got_lost_are_sent_again(
    client: TestClient, settings: Settings, connection: redis.Redis
) -> None:
    task_id = submit(client)
    for key in connection.keys("dramatiq:*"):
        connection.delete(key)
    hasty = open_sweep(changed(settings, lease=1))
    connection.hset(ledger_keys.job(task_id), "moved_at", 0)
    hasty.once()
    assert connection.hlen(f"dramatiq:{RENDER_QUEUE}.msgs") == 3
    hasty.once()
    assert connection.hlen(f"dramatiq:{RENDER_QUEUE}.msgs") == 3


@pytest.mark.usefixtures("worker")
def test_a_bundle_that_nobody_asked_for_is_built(
    client: TestClient,
    settings: Settings,
    sweep: Sweep,
    connection: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.broker.dispatcher.Dispatcher.send_bundle", lambda *_: None)
    monkeypatch.setattr("dramatiq.composition.group.add_completion_callback", lambda *_: None)
    task_id = submit(client)
    wait_for(lambda: poll(client, task_id).json["chunks"]["staged"] == 3, "all staged", pause=0.2)
    monkeypatch.undo()
    assert poll(client, task_id).json["status"] == "running"
    sweep.once()
    connection.hset(ledger_keys.job(task_id), "moved_at", 0)
    assert settings.lease
    sweep.once()
    assert end_of(client, task_id).json["status"] == "completed"


def test_a_late_job_fails_and_stays_so_until_it_is_re_run(
    settings: Settings, client: TestClient, connection: redis.Redis, start_worker: StartWorker
) -> None:
    task_id = submit(client)
    connection.hset(ledger_keys.job(task_id), "deadline_at", 1)
    sweep = open_sweep(settings)
    sweep.once()
    counted = sweep.metrics.registry.get_sample_value
    assert counted("qrmill_sweep_actions_total", {"action": "late"}) == 1
    late = poll(client, task_id).json
    assert (late["status"], late["error_code"]) == ("failed", "deadline")
    assert "3600 seconds" in late["error"]
    flush_ledger(connection)
    assert poll(client, task_id).json["error_code"] == "deadline"
    again = retry(client, task_id)
    assert again.status_code == 202
    assert again.json["poll_url"] == f"/qr/bulk/{task_id}/"
    start_worker()
    assert end_of(client, task_id).json["status"] == "completed"


def flush_ledger(connection: redis.Redis) -> None:
    for key in connection.keys("qrmill:*"):
        connection.delete(key)


def test_what_outlived_its_time_is_removed_everywhere(
    client: TestClient,
    settings: Settings,
    connection: redis.Redis,
    bucket: Bucket,
    staging_bucket: Bucket,
) -> None:
    task_id = submit(client)
    client.simulate_delete(f"/qr/bulk/{task_id}/")
    staging_bucket.put(keys.staged_zip(task_id, 0), b"left over")
    sweep = open_sweep(settings)
    sweep.once()
    assert poll(client, task_id).status_code == 200
    connection.zadd(ledger_keys.ENDED_JOBS, {task_id: 1})
    sweep.once()
    assert [*bucket.list_keys("jobs/")] == []
    assert [*staging_bucket.list_keys("")] == []
    assert [key for key in connection.keys("*") if task_id in key] == []
    assert poll(client, task_id).status_code == 404


def test_staging_that_nothing_knows_of_and_open_uploads_are_removed(
    settings: Settings, bucket: Bucket, staging_bucket: Bucket, client: TestClient
) -> None:
    known = submit(client)
    staging_bucket.put(keys.staged_zip(known, 0), b"at work")
    staging_bucket.put(keys.staged_zip(str(uuid.uuid4()), 0), b"orphan")
    bucket._client.create_multipart_upload(Bucket=bucket.name, Key="jobs/x/bundle.zip")
    open_sweep(settings).once()
    assert [*staging_bucket.list_keys("")] == [keys.staged_zip(known, 0)]
    uploads = bucket._client.list_multipart_uploads(Bucket=bucket.name)
    assert len(uploads["Uploads"]) == 1  # it may still be at work
    open_sweep(changed(settings, job_deadline=1))
    wait_for(lambda: abort_old(settings, bucket), "the upload's removal", seconds=10, pause=0.5)


def abort_old(settings: Settings, bucket: Bucket) -> bool:
    hasty = open_sweep(changed(settings, job_deadline=1))
    assert [*hasty._reconciler.steps()]
    return "Uploads" not in bucket._client.list_multipart_uploads(Bucket=bucket.name)


def test_one_sweeps_and_the_others_wait(settings: Settings, connection: redis.Redis) -> None:
    first, second = open_sweep(settings), open_sweep(settings)
    assert first.once()
    assert not second.once()
    name = "qrmill_sweep_completed_timestamp_seconds"
    assert first.metrics.registry.get_sample_value(name) == pytest.approx(time.time(), abs=60)
    assert second.metrics.registry.get_sample_value(name) == 0
    assert first.once()
    connection.delete(ledger_keys.SWEEP)  # as if its lease had run out
    assert second.once()
    assert not first.once()


def test_a_sweep_without_redis_says_so_and_goes_on(settings: Settings) -> None:
    away = open_sweep(changed(settings, redis_url="redis://127.0.0.1:1"))
    with pytest.raises(UnavailableError):
        away.once()


def test_cancelling_ends_a_job_once(
    client: TestClient, bucket: Bucket, connection: redis.Redis, start_worker: StartWorker
) -> None:
    task_id = submit(client)
    first = client.simulate_delete(f"/qr/bulk/{task_id}/")
    second = client.simulate_delete(f"/qr/bulk/{task_id}/")
    assert first.json == second.json
    assert (first.json["status"], first.json["error_code"]) == ("failed", "cancelled")
    start_worker()
    wait_for(lambda: connection.hlen(f"dramatiq:{RENDER_QUEUE}.msgs") == 0, "an empty queue")
    assert poll(client, task_id).json["error_code"] == "cancelled"
    assert keys.bundle_object(task_id) not in [*bucket.list_keys("jobs/")]


@pytest.mark.usefixtures("worker")
def test_a_cancel_after_the_end_is_refused_and_changes_nothing(client: TestClient) -> None:
    task_id = submit(client)
    done = end_of(client, task_id).json
    refused = client.simulate_delete(f"/qr/bulk/{task_id}/")
    assert (refused.status_code, refused.json["error_code"]) == (409, "not_possible")
    assert refused.json["detail"] == problem_examples()["409"]["ended"]["value"]["detail"]
    assert poll(client, task_id).json["bundle"] == done["bundle"]
    unknown = client.simulate_delete(f"/qr/bulk/{uuid.uuid4()}/")
    assert unknown.status_code == 404


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("delay", [0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_a_cancel_that_races_has_one_winner(
    client: TestClient, staging_bucket: Bucket, delay: float
) -> None:
    task_id = submit(client)
    deadline = time.monotonic() + delay
    wait_for(lambda: time.monotonic() >= deadline, "the moment to cancel")
    answer = client.simulate_delete(f"/qr/bulk/{task_id}/")
    ended = end_of(client, task_id).json
    if answer.status_code == 200:
        assert (ended["status"], ended["error_code"]) == ("failed", "cancelled")
        assert ended["download_url"] is None
    else:
        assert (answer.status_code, ended["status"]) == (409, "completed")
    wait_for(lambda: not [*staging_bucket.list_keys("")], "no staging")


def test_there_is_nothing_to_re_run_of_a_job_that_has_not_failed(
    client: TestClient, operator: TestClient
) -> None:
    task_id = submit(client)
    refused = retry(client, task_id)
    assert (refused.status_code, refused.json["error_code"]) == (409, "not_possible")
    assert "nothing to re-run" in refused.json["detail"]
    assert retry(client, str(uuid.uuid4())).status_code == 404
    assert retry(client, "7").status_code == 422
    client.simulate_delete(f"/qr/bulk/{task_id}/")
    assert retry(operator, task_id).status_code == 202


def test_a_re_run_renders_only_what_is_not_staged(
    client: TestClient, bucket: Bucket, connection: redis.Redis, start_worker: StartWorker
) -> None:
    task_id = submit_broken(client, bucket, connection)
    start_worker()
    failed = end_of(client, task_id).json
    assert failed["error_code"] == "render_failed"
    wait_for(lambda: poll(client, task_id).json["chunks"]["staged"] == 2, "the others", pause=0.2)
    repair(bucket, connection, task_id)
    assert retry(client, task_id).status_code == 202
    assert end_of(client, task_id).json["status"] == "completed"
    attempts = connection.hgetall(ledger_keys.attempts(task_id))
    assert attempts == {"1": "1"}


def submit_broken(client: TestClient, bucket: Bucket, connection: redis.Redis) -> str:
    """Submit a job whose chunk 1 cannot be decoded: its range is moved by a byte."""
    task_id = submit(client)
    move_range(bucket, connection, task_id, 1)
    return task_id


def repair(bucket: Bucket, connection: redis.Redis, task_id: str) -> None:
    move_range(bucket, connection, task_id, -1)


def move_range(bucket: Bucket, connection: redis.Redis, task_id: str, by: int) -> None:
    offset, length = map(int, str(connection.hget(ledger_keys.ranges(task_id), "1")).split())
    connection.hset(ledger_keys.ranges(task_id), "1", f"{offset + by} {length}")
    assert len(bucket.get(keys.request_object(task_id), offset + by, length)) == length


def test_a_full_backlog_is_told_with_the_time_it_takes(
    settings: Settings, token: str, connection: redis.Redis
) -> None:
    from api.app import create_app  # noqa: PLC0415 - the one test that needs another limit

    limited = changed(settings, max_backlog=10)
    client = TestClient(create_app(open_service(limited), limited), headers={"X-API-Key": token})
    submit(client)
    full = client.simulate_post("/qr/bulk/", json={"gtin": "9506000134352", "items": ITEMS})
    assert (full.status_code, full.json["error_code"]) == (429, "backlog_full")
    assert full.headers["retry-after"] == "600"  # nothing was done in the last minute
    connection.hset(ledger_keys.DRAINED, str(int(time.time()) // 10), 6)
    full = client.simulate_post("/qr/bulk/", json={"gtin": "9506000134352", "items": ITEMS})
    assert full.headers["retry-after"] == "10"  # one too many, at a tenth of a chunk a second
    submit(client, ITEMS[:10])


def test_a_retry_is_admitted_by_the_rule_of_new_jobs(settings: Settings, token: str) -> None:
    from api.app import create_app  # noqa: PLC0415 - as above

    limited = changed(settings, max_backlog=10)
    client = TestClient(create_app(open_service(limited), limited), headers={"X-API-Key": token})
    cancelled, task_id = submit(client), submit(client, ITEMS[:10])
    assert client.simulate_delete(f"/qr/bulk/{cancelled}/").status_code == 200
    submit(client)
    full = client.simulate_post(f"/qr/bulk/{cancelled}/retry/")
    assert (full.status_code, full.json["error_code"]) == (429, "backlog_full")
    assert full.headers["retry-after"]
    assert poll(client, cancelled).json["error_code"] == "cancelled"
    assert client.simulate_delete(f"/qr/bulk/{task_id}/").status_code == 200
    assert client.simulate_post(f"/qr/bulk/{task_id}/retry/").status_code == 202  # one chunk


def test_a_job_of_one_chunk_goes_by_its_own_queue(
    client: TestClient, connection: redis.Redis
) -> None:
    submit(client, ITEMS[:10])
    submit(client)
    assert connection.hlen(f"dramatiq:{EXPRESS_QUEUE}.msgs") == 1
    assert connection.hlen(f"dramatiq:{RENDER_QUEUE}.msgs") == 3


def test_a_chunk_that_kills_its_worker_is_given_up(
    client: TestClient, settings: Settings, ledger: Ledger, start_worker: StartWorker
) -> None:
    task_id = submit(client)
    for _ in range(settings.max_attempts):
        assert ledger.begin_chunk(task_id, 1, 60_000)  # … and the worker dies
    start_worker()
    failed = end_of(client, task_id).json
    assert failed["error_code"] == "worker_crashed"
    wait_for(lambda: poll(client, task_id).json["chunks"]["staged"] == 2, "the others", pause=0.2)
    assert retry(client, task_id).status_code == 202
    assert end_of(client, task_id).json["status"] == "completed"


@pytest.fixture
def ended_once(
    client: TestClient, worker: dramatiq.Worker, bucket: Bucket, connection: redis.Redis
) -> tuple[str, dict[str, object]]:
    """A job whose end Redis has lost, as in a failover, and what was told of it before."""
    assert worker.consumers
    task_id = submit(client)
    told = end_of(client, task_id).json
    result = keys.result_object(task_id)
    wait_for(lambda: result in [*bucket.list_keys("jobs/")], "the record of its end")
    wait_for(lambda: connection.hlen(f"dramatiq:{RENDER_QUEUE}.msgs") == 0, "an empty queue")
    connection.hset(ledger_keys.job(task_id), "state", "running")
    connection.hdel(ledger_keys.job(task_id), "bundle", "finished_at")
    connection.zrem(ledger_keys.ENDED_JOBS, task_id)
    connection.zadd(ledger_keys.ACTIVE_JOBS, {task_id: 1})
    connection.delete(ledger_keys.COUNTS)
    return task_id, told


def test_a_job_whose_end_was_lost_is_ended_again_when_another_server_answers(
    client: TestClient,
    sweep: Sweep,
    connection: redis.Redis,
    ended_once: tuple[str, dict[str, object]],
) -> None:
    task_id, told = ended_once
    assert poll(client, task_id).json["status"] == "running"
    assert sweep.once()
    found = poll(client, task_id).json
    assert {**found, "download_url": "", "expires_at": 0} == {
        **told,
        "download_url": "",
        "expires_at": 0,
    }
    assert connection.zscore(ledger_keys.ENDED_JOBS, task_id) is not None
    assert connection.zscore(ledger_keys.ACTIVE_JOBS, task_id) is None
    assert connection.hget(ledger_keys.COUNTS, "jobs png completed") == "1"
    assert not connection.exists(f"dramatiq:{RENDER_QUEUE}", "dramatiq:bundle")


def test_a_job_that_was_opened_again_does_not_end_as_it_ended_before(
    client: TestClient,
    sweep: Sweep,
    connection: redis.Redis,
    ended_once: tuple[str, dict[str, object]],
) -> None:
    task_id, _ = ended_once
    connection.hset(ledger_keys.job(task_id), "opened_at", time.time_ns() // 1_000_000 + 1000)
    assert sweep.once()
    assert poll(client, task_id).json["status"] == "running"


def test_s3_is_compared_again_a_minute_after_another_server_answered(
    client: TestClient, sweep: Sweep, connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sweep.once()
    assert connection.get(ledger_keys.ALIVE) == connection.info("server")["run_id"]
    task_id = submit(client)
    connection.delete(ledger_keys.job(task_id))
    assert sweep.once()
    assert not connection.exists(ledger_keys.job(task_id))  # nothing says that it could be lost
    connection.set(ledger_keys.ALIVE, "the master before")
    assert sweep.once()
    assert connection.exists(ledger_keys.job(task_id))
    connection.delete(ledger_keys.job(task_id))  # as if its acceptance had gone to that one
    right = time.monotonic
    monkeypatch.setattr("time.monotonic", lambda: right() + 61)
    assert sweep.once()
    assert connection.exists(ledger_keys.job(task_id))


def test_messages_that_only_look_held_do_not_make_the_sweep_wait_longer(
    client: TestClient, sweep: Sweep, connection: redis.Redis
) -> None:
    task_id = submit(client)
    held = f"dramatiq:__acks__.worker:a:1:b.{RENDER_QUEUE}"
    while (name := connection.lpop(f"dramatiq:{RENDER_QUEUE}")) is not None:
        connection.sadd(held, str(name))
    connection.zadd(ledger_keys.HEARTBEATS, {"worker:a:1:b": time.time_ns() // 1_000_000})
    connection.hset(ledger_keys.job(task_id), "moved_at", time.time_ns() // 1_000_000 - 61_000)
    assert sweep.once()
    assert connection.llen(f"dramatiq:{RENDER_QUEUE}") == 3
