"""What a newer release has written is left to it: messages, ledger entries, records in S3."""

from collections.abc import Iterator

import pytest
import redis
from falcon.testing import TestClient

from pipeline.broker.names import QUEUES, RENDER_QUEUE
from pipeline.errors import NewerVersionError
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.sweep import open_sweep
from pipeline.model.failure_reasons import Failure
from pipeline.model.versions import VERSION
from pipeline.service import Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.integration.conftest import StartWorker
from tests.waiting import wait_for

NEWER = VERSION + 1
BODY = {"gtin": "9506000134352", "items": [{"serial": f"{index:04}"} for index in range(25)]}


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture(autouse=True)
def _soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.broker.newer_messages._AGAIN", 300)


def submit(client: TestClient) -> str:
    answer = client.simulate_post("/qr/bulk/", json=BODY)
    assert answer.status_code == 202, answer.text
    return str(answer.json["task_id"])


def state_of(client: TestClient, task_id: str) -> str:
    return str(client.simulate_get(f"/qr/bulk/{task_id}/").json["status"])


def dead_letters(connection: redis.Redis) -> int:
    return sum(connection.zcard(ledger_keys.dead_letters(queue)) for queue in QUEUES)


def skipped(caplog: pytest.LogCaptureFixture) -> int:
    """Return how often Dramatiq has said that a message was skipped."""
    return sum("was skipped" in record.message for record in [*caplog.records])


def test_messages_of_a_newer_version_wait_for_a_worker_that_knows_it(
    client: TestClient,
    connection: redis.Redis,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as newer:
        newer.setattr("pipeline.broker.dispatcher.MESSAGE_VERSION", NEWER)
        task_id = submit(client)
    start_worker()
    wait_for(lambda: skipped(caplog) > 6, "messages that are put back again and again")
    assert state_of(client, task_id) == "pending"
    assert connection.exists(ledger_keys.attempts(task_id)) == 0
    assert dead_letters(connection) == 0
    monkeypatch.setattr("pipeline.model.versions.VERSION", NEWER)
    wait_for(lambda: state_of(client, task_id) == "completed", "the job's end")


def test_a_ledger_entry_of_a_newer_version_is_not_touched(
    client: TestClient,
    settings: Settings,
    connection: redis.Redis,
    start_worker: StartWorker,
) -> None:
    task_id = submit(client)
    connection.hset(ledger_keys.job(task_id), mapping={"version": NEWER, "deadline_at": 1})
    before = connection.hgetall(ledger_keys.job(task_id))
    start_worker()
    wait_for(
        lambda: connection.hlen(ledger_keys.delayed_messages(RENDER_QUEUE)), "messages requeued"
    )
    for _ in range(2):  # the first one compares with S3 as well
        assert open_sweep(settings).once()
        connection.delete(ledger_keys.SWEEP)
    for answer in (
        client.simulate_get(f"/qr/bulk/{task_id}/"),
        client.simulate_delete(f"/qr/bulk/{task_id}/"),
    ):
        assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
    assert client.simulate_get("/qr/bulk/").json["tasks"] == []
    assert connection.hgetall(ledger_keys.job(task_id)) == before
    assert connection.exists(ledger_keys.attempts(task_id)) == 0
    assert dead_letters(connection) == 0
    deadline = int(before["moved_at"]) + 3_600_000
    connection.hset(ledger_keys.job(task_id), mapping={"version": VERSION, "deadline_at": deadline})
    wait_for(lambda: state_of(client, task_id) == "completed", "the job's end")


def test_every_step_that_begins_something_refuses_a_newer_entry(
    ledger: Ledger, client: TestClient, connection: redis.Redis
) -> None:
    task_id = submit(client)
    connection.hset(ledger_keys.job(task_id), "version", NEWER)
    steps = (
        lambda: ledger.begin_chunk(task_id, 0, 1000),
        lambda: ledger.claim_bundle(task_id, "somebody", 1000, 1000),
        lambda: ledger.diagnose_job(task_id, 1000, 1000, queues_empty=True),
        lambda: ledger.fail_job(task_id, Failure("deadline", "late")),
        lambda: ledger.retry_job(task_id, 1000),
        lambda: ledger.status(task_id),
    )
    for step in steps:
        with pytest.raises(NewerVersionError):
            step()
    assert ledger.statuses([task_id]) == []


@pytest.mark.usefixtures("worker")
def test_a_record_in_s3_of_a_newer_version_is_kept_and_not_called_damaged(
    client: TestClient,
    settings: Settings,
    connection: redis.Redis,
    bucket: Bucket,
    capfd: pytest.CaptureFixture[str],
) -> None:
    task_id = submit(client)
    wait_for(lambda: state_of(client, task_id) == "completed", "the job's end")
    name = keys.request_object(task_id)
    head, _, items = bucket.get(name).partition(b"\n")
    newer = head.replace(b'"version":1', b'"version":%d,"invented":{}' % NEWER)
    assert newer != head
    bucket.put(name, newer + b"\n" + items, "application/json")
    connection.flushall()
    assert client.simulate_get(f"/qr/bulk/{task_id}/").status_code == 503
    assert open_sweep(settings).once()
    assert "not readable" not in capfd.readouterr().err
    assert bucket.get(name).startswith(newer)
    bucket.put(name, head + b"\n" + items, "application/json")
    assert state_of(client, task_id) == "completed"
