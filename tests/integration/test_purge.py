"""``DELETE …?purge=true``: nothing of an ended job stays, and nothing brings it back."""

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from falcon.testing import Result, TestClient

from api.app import create_app
from api.openapi.problem_examples import problem_examples
from pipeline.errors import JobPurgedError, StoreUnavailableError
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.entries import entry_keys
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.sweep import Sweep, open_sweep
from pipeline.model.failure_reasons import CANCELLED_BY_REQUEST
from pipeline.service import Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.records import JobRecords
from tests.integration.test_restore import end_of, poll, retry, submit

KEY = {"Idempotency-Key": "c0ffee00-5e2a-4b0d-8f7e-1d2c3b4a5f60"}
BODY = {"gtin": "9506000134352", "items": [{"serial": f"{index:03}"} for index in range(25)]}
DAY = 86_400


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def sweep(settings: Settings) -> Sweep:
    return open_sweep(settings)


def purge(client: TestClient, task_id: str, query: str = "purge=true") -> Result:
    return client.simulate_delete(f"/qr/bulk/{task_id}/", query_string=query)


def send(client: TestClient) -> Result:
    return client.simulate_post("/qr/bulk/", json=BODY, headers=KEY)


def objects(bucket: Bucket, staging_bucket: Bucket, task_id: str) -> list[str]:
    staged = staging_bucket.list_keys(keys.staging_of(task_id))
    return [*bucket.list_keys(keys.objects_of(task_id)), *staged]


def reconcile(sweep: Sweep) -> None:
    for _ in sweep._reconciler.steps():
        pass


def listed(client: TestClient) -> list[str]:
    rows = client.simulate_get("/qr/bulk/").json["tasks"]
    return [row["task_id"] for row in rows]


def unstable(response: Result) -> dict[str, Any]:
    body = {name: value for name, value in response.json.items() if name != "instance"}
    return {**body, "timestamp": None}


@pytest.mark.usefixtures("worker")
def test_a_purged_job_is_gone_everywhere_and_its_key_starts_a_new_one(
    *,
    client: TestClient,
    service: Service,
    settings: Settings,
    connection: redis.Redis,
    bucket: Bucket,
    staging_bucket: Bucket,
    sweep: Sweep,
) -> None:
    first = send(client)
    task_id = first.json["task_id"]
    assert end_of(client, task_id).json["status"] == "completed"
    assert send(client).headers["Idempotency-Replayed"] == "true"
    staging_bucket.put(keys.staged_zip(task_id, 7), b"left by a worker that died")
    bucket.put(f"{keys.objects_of(task_id)}of-another-release", b"x")
    other = service.api_keys.create(name="other", role="client").token
    stranger = TestClient(create_app(service, settings), headers={"X-API-Key": other})
    unknown = str(uuid.uuid4())
    before = unstable(purge(stranger, unknown))

    def same_404() -> bool:
        response = purge(stranger, task_id)
        body = unstable(response)
        return response.status_code == 404 and before == {
            name: value.replace(task_id, unknown) if isinstance(value, str) else value
            for name, value in body.items()
        } | {"error": before["error"]}

    assert same_404()
    assert poll(client, task_id).status_code == 200

    response = purge(client, task_id)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["X-RateLimit-Limit"]
    assert objects(bucket, staging_bucket, task_id) == []
    for asked in (poll(client, task_id), retry(client, task_id), purge(client, task_id, "")):
        assert asked.status_code == 404
    assert client.simulate_get(f"/qr/bulk/{task_id}/chunks/").status_code == 404
    assert task_id not in listed(client)
    assert purge(client, task_id).status_code == 204
    assert same_404()
    left = [name for name in connection.scan_iter("*") if task_id in name]
    assert left == [ledger_keys.job(task_id)]
    assert set(connection.hgetall(left[0])) == {
        "state",
        "closed",
        "version",
        "key_id",
        "purge_due_at",
    }
    lifetime = connection.ttl(left[0])
    assert isinstance(lifetime, int)
    longest = settings.job_ttl + settings.job_deadline + DAY
    assert longest - 60 < lifetime <= longest
    assert connection.zcard(ledger_keys.PURGED_JOBS) == 0
    for index in connection.scan_iter("qrmill:jobs:*"):
        assert connection.zscore(index, task_id) is None
    assert [*connection.scan_iter("qrmill:idempotency:*")] == []

    reconcile(sweep)
    assert sweep.once()
    assert poll(client, task_id).status_code == 404
    again = send(client)
    assert again.status_code == 202
    assert "Idempotency-Replayed" not in again.headers
    assert again.json["task_id"] != task_id
    assert end_of(client, again.json["task_id"]).json["status"] == "completed"


def test_a_job_in_flight_is_neither_purged_nor_cancelled(
    client: TestClient, operator: TestClient, connection: redis.Redis, ledger: Ledger
) -> None:
    task_id = submit(client)
    begun = ledger.begin_chunk(task_id, 0, 60_000, "m")
    assert begun is not None
    for state in ("running", "pending"):
        connection.hset(ledger_keys.job(task_id), "state", state)
        response = purge(client, task_id)
        assert (response.status_code, response.json["error_code"]) == (409, "not_possible")
        example = problem_examples()["409"]["in_flight"]["value"]
        assert response.json["detail"] == example["detail"]
        assert poll(client, task_id).json["status"] == state
    # A mistyped parameter must not cancel the job either.
    for query in ("purge=yes", "purge", "purge=", "Purge=true", "purge=true&purge=true", "x=1"):
        response = purge(client, task_id, query)
        assert response.status_code == 422, query
        assert poll(client, task_id).json["status"] == "pending"
    assert purge(client, task_id, "purge=false").json["error_code"] == "cancelled"
    # What a worker does with the cancelled job after the purge brings nothing back.
    assert purge(operator, task_id).status_code == 204
    assert ledger.begin_chunk(task_id, 0, 60_000, "m") is None
    assert ledger.fail_job(task_id, CANCELLED_BY_REQUEST, 0, "letter") is None
    ledger.record_attempt_error(task_id, 0, CANCELLED_BY_REQUEST)
    ledger.renew_chunk(task_id, 0, 60_000)
    assert ledger.claim_bundle(task_id, "c", 60_000, 60_000) is None
    assert ledger.retry_job(task_id, 60_000) is None
    ledger.discard_job(task_id, "tenant")
    assert [name for name in entry_keys(task_id) if connection.exists(name)] == [
        ledger_keys.job(task_id)
    ]
    assert purge(client, task_id).status_code == 204


@pytest.mark.parametrize("step", ["drop", "delete_job", "settle_purge"])
@pytest.mark.usefixtures("worker")
def test_a_purge_that_was_killed_between_two_steps_is_completed_by_the_sweep(
    *,
    step: str,
    client: TestClient,
    service: Service,
    connection: redis.Redis,
    bucket: Bucket,
    staging_bucket: Bucket,
    sweep: Sweep,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task_id = send(client).json["task_id"]
    assert end_of(client, task_id).json["status"] == "completed"
    staging_bucket.put(keys.staged_zip(task_id, 7), b"x")
    purger = service.jobs._purger
    owners = {"drop": purger._staging, "delete_job": purger._records}

    def fail(*_: object) -> None:
        raise StoreUnavailableError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(owners.get(step, purger._ledger), step, fail)
        assert purge(client, task_id).status_code == 503
    assert bool(objects(bucket, staging_bucket, task_id)) == (step != "settle_purge")
    # Neither a poll, nor a request with the same key, nor another purge by a stranger, nor the
    # comparison with S3 restores the job.
    assert poll(client, task_id).status_code == 404
    new = send(client)
    assert new.json["task_id"] != task_id
    assert "Idempotency-Replayed" not in new.headers
    assert task_id not in listed(client)
    assert sweep.once()  # not due yet, but the comparison with S3 is
    assert objects(bucket, staging_bucket, task_id) == []
    bucket.put(keys.bundle_object(task_id), b"late")
    connection.zadd(ledger_keys.PURGED_JOBS, {task_id: 1})
    assert sweep.once()
    assert objects(bucket, staging_bucket, task_id) == []
    assert connection.zcard(ledger_keys.PURGED_JOBS) == 0
    assert poll(client, task_id).status_code == 404


@pytest.mark.usefixtures("worker")
def test_a_late_write_of_any_object_is_deleted_again(
    *,
    client: TestClient,
    service: Service,
    bucket: Bucket,
    staging_bucket: Bucket,
    ledger: Ledger,
    connection: redis.Redis,
    sweep: Sweep,
) -> None:
    task_id = send(client).json["task_id"]
    assert end_of(client, task_id).json["status"] == "completed"
    status = ledger.status(task_id)
    assert status is not None
    assert status.bundle is not None
    bundle = status.bundle
    head, head_bytes, _ = service.jobs._records.read_request(task_id)
    records: JobRecords = service.jobs._records
    result = records.read_result(task_id)
    assert result is not None
    request = bucket.get(keys.request_object(task_id))
    assert sweep.once()
    assert purge(client, task_id).status_code == 204

    def put_request() -> None:
        bucket.put(keys.request_object(task_id), request)
        with pytest.raises(JobPurgedError):
            ledger.create_job(head, head.created_at, head_bytes, 60_000)

    def put_result() -> None:
        assert not service.jobs._results.write(task_id, result)

    def put_bundle() -> None:
        bucket.put(keys.bundle_object(task_id), b"late")
        assert ledger.complete_job(task_id, "claimant", bundle) is None

    def put_bundle_and_die() -> None:
        bucket.put(keys.bundle_object(task_id), b"late")
        service.jobs._dispatcher.send_bundle(task_id, "")  # as Dramatiq redelivers the message

    def put_callback_and_tell_nobody() -> None:
        bucket.put(keys.callback_object(task_id), b"{}")
        reconcile(sweep)

    def restore_from_all_objects() -> None:
        bucket.put(keys.request_object(task_id), request)
        assert service.jobs._recovery.restore(task_id)
        records.write_result(task_id, result)
        assert service.jobs._recovery.restore(task_id)
        assert not service.jobs._recovery.restore_result(task_id)
        assert not ledger.restore_job(head, head_bytes, result)

    writes: list[Callable[[], None]] = [
        put_request,
        put_result,
        put_bundle,
        put_bundle_and_die,
        put_callback_and_tell_nobody,
        restore_from_all_objects,
    ]
    for write in writes:
        write()
        deadline = threading.Event()
        for _ in range(100):
            assert sweep.once()
            if not objects(bucket, staging_bucket, task_id):
                break
            deadline.wait(0.1)
        assert objects(bucket, staging_bucket, task_id) == [], write.__name__
        assert poll(client, task_id).status_code == 404, write.__name__
        assert connection.zcard(ledger_keys.PURGED_JOBS) == 0, write.__name__
        assert connection.ttl(ledger_keys.job(task_id)) > 0
        again = send(client)
        assert again.json["task_id"] != task_id, write.__name__


@pytest.mark.usefixtures("worker")
def test_two_purges_at_once_and_one_beside_the_retention_both_succeed(
    *,
    client: TestClient,
    service: Service,
    ledger: Ledger,
    bucket: Bucket,
    staging_bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task_id, second = submit(client), submit(client)
    for each in (task_id, second):
        assert end_of(client, each).json["status"] == "completed"
    both, found = threading.Barrier(2), []
    delete_job = JobRecords.delete_job

    def delete_together(records: JobRecords, each: str) -> None:
        both.wait(30)
        delete_job(records, each)

    with monkeypatch.context() as patch:
        patch.setattr(JobRecords, "delete_job", delete_together)
        threads = [
            threading.Thread(target=lambda: found.append(purge(client, task_id).status_code))
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert found == [204, 204]
    assert objects(bucket, staging_bucket, task_id) == []
    # The retention deletes a job that is purged meanwhile; its tombstone stays.
    owner = ledger.owner(second)
    assert service.jobs._purger.purge(second, owner)
    ledger.discard_job(second, owner)
    assert ledger.purged_owner(second) == owner
    assert purge(client, second).status_code == 204
