"""Callbacks from a job's end to a receiver: signed, tried again, put back, given up, never lost."""

import os
import signal
import subprocess
import sys
from datetime import datetime
from typing import Any, cast

import dramatiq
import msgspec
import pytest
import redis
from falcon.testing import TestClient

from pipeline.broker.dispatcher import Dispatcher
from pipeline.broker.lanes import Lanes
from pipeline.broker.names import BUNDLE_QUEUE, EXPRESS_QUEUE, RENDER_QUEUE, WEBHOOK_QUEUE
from pipeline.ledger import keys
from pipeline.maintenance.sweep import Sweep, open_sweep
from pipeline.service import Service, Settings
from pipeline.settings import variable
from pipeline.webhooks.schedule import LONGEST_RETRY_AFTER, SCHEDULE
from tests.integration.conftest import StartWorker
from tests.receiver import receiving
from tests.waiting import wait_for

GTIN = "9506000134352"
JOB_QUEUES = {RENDER_QUEUE, EXPRESS_QUEUE, BUNDLE_QUEUE}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Those of all tests, with callbacks allowed to loopback."""
    return msgspec.structs.replace(
        settings, callback_http=True, callback_networks="127.0.0.0/8", lease=1
    )


@pytest.fixture
def sweep(settings: Settings) -> Sweep:
    return open_sweep(settings)


@pytest.fixture
def secret(client: TestClient) -> str:
    answer = client.simulate_post("/keys/self/webhook-secret/")
    assert answer.status_code == 201, answer.text
    return str(answer.json["webhook_secret"])


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three attempts, one right after the other."""
    monkeypatch.setattr("pipeline.webhooks.schedule.SCHEDULE", (0, 0))


def submit(client: TestClient, url: str, **fields: Any) -> str:  # noqa: ANN401 - any JSON
    body = {"gtin": GTIN, "items": [{}], "format": "svg", "callback_url": url, **fields}
    answer = client.simulate_post("/qr/bulk/", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json["task_id"])


def callback(client: TestClient, task_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.simulate_get(f"/qr/bulk/{task_id}/").json["callback"]
    return found


def wait_until(client: TestClient, sweep: Sweep, task_id: str, state: str) -> dict[str, Any]:
    """Sweep until the task's callback is in ``state``, and return it."""

    def look() -> dict[str, Any] | None:
        sweep.once()
        found = callback(client, task_id)
        return found if found["state"] == state else None

    return wait_for(look, f"a callback {state}", seconds=30, pause=0.05)


@pytest.mark.usefixtures("worker")
def test_the_end_of_a_job_is_told_once_with_a_signature_of_the_public_library(
    client: TestClient, sweep: Sweep, secret: str
) -> None:
    with receiving() as receiver:
        task_id = submit(client, receiver.url)
        assert callback(client, task_id)["state"] in {"pending", "delivered"}
        told = wait_until(client, sweep, task_id, "delivered")
        sweep.once()
    assert (told["attempts"], told["last_error"], told["next_attempt_at"]) == (1, None, None)
    assert told["delivered_at"] is not None
    [received] = receiver.received
    assert received.path == "/hooks?shop=7"
    assert received.headers["Host"] == f"127.0.0.1:{receiver.port}"
    event = received.verified(secret)
    assert event["type"] == "bulk.completed"
    assert event["data"] == {
        "task_id": task_id,
        "status": "completed",
        "items": 1,
        "error": None,
        "error_code": None,
        "poll_url": f"/qr/bulk/{task_id}/",
    }
    assert event["timestamp"] == client.simulate_get(f"/qr/bulk/{task_id}/").json["finished_at"]
    assert b"Signature" not in received.body
    assert len(received.body) < 1000


def test_a_cancelled_job_is_told_too(
    client: TestClient, sweep: Sweep, secret: str, start_worker: StartWorker
) -> None:
    with receiving() as receiver:
        task_id = submit(client, receiver.url)
        assert callback(client, task_id) == {
            "state": "pending",
            "attempts": 0,
            "last_error": None,
            "next_attempt_at": None,
            "delivered_at": None,
        }
        client.simulate_delete(f"/qr/bulk/{task_id}/")
        start_worker()
        wait_until(client, sweep, task_id, "delivered")
        event = receiver.received[0].verified(secret)
    assert (event["type"], event["data"]["error_code"]) == ("bulk.failed", "cancelled")


@pytest.mark.usefixtures("worker", "soon")
def test_an_answer_that_is_no_success_is_followed_by_another_attempt_at_the_same_event(
    client: TestClient, sweep: Sweep, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with receiving(500) as receiver:
        task_id = submit(client, receiver.url)
        told = wait_until(client, sweep, task_id, "delivered")
    assert told["attempts"] == 2
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.verified(secret) == second.verified(secret)
    logged = "".join(capsys.readouterr())
    assert "webhook delivered" in logged
    assert "shop=7" not in logged  # a query may well be a secret of the receiver's
    assert secret not in logged


@pytest.mark.usefixtures("worker", "secret")
def test_between_attempts_the_poll_says_what_went_wrong_and_when_the_next_is(
    client: TestClient, sweep: Sweep
) -> None:
    with receiving(500) as receiver:
        task_id = submit(client, receiver.url)
        wait_for(lambda: callback(client, task_id)["last_error"], "the first attempt")
        sweep.once()
        told = callback(client, task_id)
    assert (told["state"], told["attempts"]) == ("pending", 1)
    assert told["last_error"] == "receiver returned 500"
    assert told["next_attempt_at"] > client.simulate_get(f"/qr/bulk/{task_id}/").json["finished_at"]


@pytest.mark.usefixtures("worker", "secret")
@pytest.mark.parametrize(
    ("said", "least", "most"),
    [("1", SCHEDULE[0], 10), ("600", 600, 670), ("999999999", LONGEST_RETRY_AFTER, 24_000)],
)
def test_a_receiver_may_put_the_next_attempt_off_but_not_for_ever(
    client: TestClient, said: str, least: int, most: int
) -> None:
    with receiving(503, headers={"Retry-After": said}) as receiver:
        task_id = submit(client, receiver.url)
        wait_for(lambda: callback(client, task_id)["last_error"], "the first attempt")
        ended = client.simulate_get(f"/qr/bulk/{task_id}/").json["finished_at"]
        due = callback(client, task_id)["next_attempt_at"]
    pause = datetime.fromisoformat(due) - datetime.fromisoformat(ended)
    assert least <= pause.total_seconds() <= most


@pytest.mark.usefixtures("secret", "soon")
def test_after_the_last_attempt_it_is_a_dead_letter_that_can_be_put_back(
    client: TestClient,
    sweep: Sweep,
    worker: dramatiq.Worker,
    redis_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with receiving(500, 302, 404) as receiver, redis.Redis.from_url(redis_url) as connection:
        task_id = submit(client, receiver.url)
        told = wait_until(client, sweep, task_id, "failed")
        assert (told["attempts"], told["last_error"]) == (3, "receiver returned 404")
        assert told["next_attempt_at"] is None
        logged = "".join(capsys.readouterr())
        assert logged.count("webhook failed permanently") == 1
        assert "webhook attempt aborted" not in logged
        dead = f"dramatiq:{WEBHOOK_QUEUE}.XQ"
        wait_for(lambda: connection.zcard(dead) == 1, "a dead letter")
        status = client.simulate_get(f"/qr/bulk/{task_id}/").json
        assert (status["status"], status["error"]) == ("completed", None)
        [letter] = connection.hvals(f"{dead}.msgs")
        worker.broker.enqueue(dramatiq.Message.decode(letter))
        told = wait_until(client, sweep, task_id, "delivered")
    assert (told["attempts"], told["last_error"]) == (4, None)


def test_an_attempt_that_cannot_be_recorded_breaks_off_and_did_not_fail_for_good(
    client: TestClient,
    secret: str,
    start_worker: StartWorker,
    redis_url: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with receiving() as receiver, redis.Redis.from_url(redis_url) as connection:
        receiver.hold.clear()
        task_id = submit(client, receiver.url)
        start_worker()
        wait_for(lambda: receiver.received, "the first attempt")
        connection.rename(keys.job(task_id), "aside")
        connection.set(keys.job(task_id), "what no step of the ledger can work with")
        receiver.hold.set()
        dead = f"dramatiq:{WEBHOOK_QUEUE}.XQ"
        wait_for(lambda: connection.zcard(dead) == 1, "a dead letter")
        connection.rename("aside", keys.job(task_id))
        assert callback(client, task_id)["state"] == "pending"
        assert receiver.received[0].verified(secret)
    logged = "".join(capsys.readouterr())
    assert "webhook attempt aborted" in logged
    assert "failed permanently" not in logged


@pytest.mark.usefixtures("worker", "secret")
def test_a_receiver_that_is_gone_is_not_asked_again(client: TestClient, sweep: Sweep) -> None:
    with receiving(410) as receiver:
        task_id = submit(client, receiver.url)
        told = wait_until(client, sweep, task_id, "failed")
    assert told["attempts"] == 1
    assert told["last_error"] == "receiver returned 410 (Gone): no more attempts"
    assert len(receiver.received) == 1


@pytest.mark.usefixtures("secret", "soon")
def test_a_stray_message_about_a_callback_that_has_failed_begins_none(
    client: TestClient, sweep: Sweep, worker: dramatiq.Worker, redis_url: str
) -> None:
    with receiving(410, 410) as receiver, redis.Redis.from_url(redis_url) as connection:
        task_id = submit(client, receiver.url)
        wait_until(client, sweep, task_id, "failed")
        Dispatcher(cast("Any", worker.broker), Lanes(connection)).send_callback(task_id)
        wait_for(lambda: not connection.hlen(f"dramatiq:{WEBHOOK_QUEUE}.msgs"), "an empty queue")
        assert callback(client, task_id)["attempts"] == 1
        assert connection.zcard(f"dramatiq:{WEBHOOK_QUEUE}.XQ") == 1
    assert len(receiver.received) == 1


@pytest.mark.usefixtures("worker")
def test_the_secret_before_signs_along(client: TestClient, sweep: Sweep, secret: str) -> None:
    answer = client.simulate_post("/keys/self/webhook-secret/").json
    assert answer["former_signs_until"] is not None
    with receiving() as receiver:
        wait_until(client, sweep, submit(client, receiver.url), "delivered")
        for each in (secret, answer["webhook_secret"]):
            assert receiver.received[0].verified(each)


def test_a_worker_that_is_killed_in_an_attempt_loses_no_callback(
    client: TestClient, sweep: Sweep, settings: Settings, secret: str, start_worker: StartWorker
) -> None:
    with receiving() as receiver:
        receiver.hold.clear()
        victim = start_webhook_worker(settings)
        try:
            start_worker(JOB_QUEUES)
            task_id = submit(client, receiver.url)
            wait_for(lambda: receiver.received, "the first attempt", seconds=60)
        finally:
            os.killpg(victim.pid, signal.SIGKILL)
            victim.wait()
        assert callback(client, task_id)["state"] == "pending"
        receiver.hold.set()
        start_worker({WEBHOOK_QUEUE})
        told = wait_until(client, sweep, task_id, "delivered")
    assert told["attempts"] == 2
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert second.verified(secret)["data"]["task_id"] == task_id


def start_webhook_worker(settings: Settings) -> "subprocess.Popen[bytes]":
    """Start Dramatiq as an operator does, for callbacks alone."""
    fields = {name: getattr(settings, name) for name in settings.__struct_fields__}
    environ = {variable(name): str(value) for name, value in fields.items() if value is not None}
    command = [sys.executable, "-m", "dramatiq", "pipeline.worker:setup_broker"]
    command += ["--processes", "1", "--threads", "1", "--queues", WEBHOOK_QUEUE, "--skip-logging"]
    return subprocess.Popen(
        command,
        env=os.environ | environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_a_lost_redis_takes_neither_the_url_nor_the_secret_nor_sends_twice(
    client: TestClient, sweep: Sweep, secret: str, start_worker: StartWorker, redis_url: str
) -> None:
    with receiving() as receiver, redis.Redis.from_url(redis_url) as connection:
        task_id = submit(client, receiver.url)
        connection.flushall()
        assert callback(client, task_id)["state"] == "pending"
        start_worker()
        before = wait_until(client, sweep, task_id, "delivered")
        connection.flushall()
        after = callback(client, task_id)
        assert after["state"] == "delivered"
        assert after["attempts"] == before["attempts"]
        sweep.once()
        assert receiver.received[0].verified(secret)
        assert len(receiver.received) == 1


def test_a_lost_redis_does_not_take_a_callback_that_is_still_to_come(
    client: TestClient, sweep: Sweep, secret: str, start_worker: StartWorker, redis_url: str
) -> None:
    with receiving() as receiver, redis.Redis.from_url(redis_url) as connection:
        task_id = submit(client, receiver.url)
        client.simulate_delete(f"/qr/bulk/{task_id}/")
        connection.flushall()
        assert callback(client, task_id)["state"] == "pending"
        start_worker({WEBHOOK_QUEUE})
        wait_until(client, sweep, task_id, "delivered")
        assert receiver.received[0].verified(secret)["type"] == "bulk.failed"


def test_slow_receivers_leave_a_worker_time_to_render(
    client: TestClient, sweep: Sweep, worker: dramatiq.Worker, secret: str
) -> None:
    assert worker.worker_threads == 2
    assert secret
    with receiving() as slow:
        slow.hold.clear()
        held = [submit(client, slow.url) for _ in range(3)]
        wait_for(lambda: slow.received, "a callback that hangs")
        with receiving() as receiver:
            task_id = submit(client, receiver.url)
            wait_for(lambda: ended(client, task_id), "a job that ends meanwhile")
            assert len(slow.received) == 1
            slow.hold.set()
            for each in (*held, task_id):
                wait_until(client, sweep, each, "delivered")


def test_the_slow_receivers_of_a_key_hold_up_no_other_keys_callbacks(
    client: TestClient, operator: TestClient, sweep: Sweep, start_worker: StartWorker
) -> None:
    for owner in (client, operator):
        assert owner.simulate_post("/keys/self/webhook-secret/").status_code == 201
    with receiving() as slow, receiving() as receiver:
        slow.hold.clear()
        held = [submit(client, slow.url) for _ in range(4)]
        start_worker(JOB_QUEUES)
        wait_for(lambda: all(ended(client, each) for each in held), "the ends of slow ones' jobs")
        start_worker({WEBHOOK_QUEUE})
        wait_for(lambda: slow.received, "a callback that hangs")
        task_id = submit(operator, receiver.url)
        wait_until(operator, sweep, task_id, "delivered")
        assert len(slow.received) == 1
        slow.hold.set()
        for each in held:
            wait_until(client, sweep, each, "delivered")


def ended(client: TestClient, task_id: str) -> bool:
    return bool(client.simulate_get(f"/qr/bulk/{task_id}/").json["status"] == "completed")


def test_a_key_without_a_secret_is_told_how_to_make_one(client: TestClient) -> None:
    body = {"gtin": GTIN, "items": [{}], "callback_url": "https://hooks.example.com/"}
    answer = client.simulate_post("/qr/bulk/", json=body)
    assert answer.status_code == 422
    [violation] = answer.json["errors"]
    assert (violation["pointer"], violation["code"]) == ("/callback_url", "no_webhook_secret")
    assert "qrmill keys webhook-secret" in violation["detail"]


def test_a_key_makes_its_own_secret_and_an_operator_anyones(
    client: TestClient, operator: TestClient, service: Service, token: str
) -> None:
    own = token.split("_")[1]
    other = service.api_keys.create(name="other", role="client").key.key_id
    for asked, who, status in [
        (own, client, 201),
        ("self", client, 201),
        (other, client, 403),
        ("0" * 12, client, 403),
        (other, operator, 201),
        ("0" * 12, operator, 404),
        ("..", operator, 404),
    ]:
        answer = who.simulate_post(f"/keys/{asked}/webhook-secret/")
        assert answer.status_code == status, (asked, answer.text)
        if status == 201:
            assert answer.json["key_id"] == (own if asked == "self" else asked)
    assert len(service.webhook_secrets.signing(own)) == 2
    assert (
        len({*service.webhook_secrets.signing(own), *service.webhook_secrets.signing(other)}) == 3
    )


def test_a_secret_that_was_replaced_stops_signing_after_a_day(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets, now = service.webhook_secrets, 1_795_000_000
    monkeypatch.setattr("pipeline.webhooks.secrets.time.time", lambda: now)
    first, second = secrets.make("a" * 12).secret, secrets.make("a" * 12).secret
    assert secrets.signing("a" * 12) == [second, first]
    now += 86_400
    assert secrets.signing("a" * 12) == [second]
