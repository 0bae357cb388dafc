"""Every step of a callback in the ledger, once, twice and out of turn, on a real server."""

import time
from collections.abc import Iterator

import dramatiq
import msgspec
import pytest
import redis

from pipeline.broker.dispatcher import Dispatcher
from pipeline.broker.factory import make_broker
from pipeline.broker.lanes import Lanes
from pipeline.broker.names import WEBHOOK_QUEUE
from pipeline.broker.redis import WakingBroker
from pipeline.broker.redis_queues import RedisQueues
from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis
from pipeline.ledger.ledger import Ledger
from pipeline.model.failure_reasons import Failure
from pipeline.model.jobs import JobStatus
from pipeline.model.records import CallbackRecord, Result
from pipeline.settings import Settings
from pipeline.webhooks.schedule import Attempt, Callbacks
from tests.contract.test_ledger import (
    BUNDLE,
    FAILURE,
    HOUR,
    NOW,
    STAGED,
    begin,
    new_head,
    stage_all,
)

URL = "https://hooks.example.com/"
LEASE, OVER = 60_000, -1
CANCELLED = Failure("cancelled", "It was cancelled.", final=True)


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    with open_redis(settings.redis_url, timeout=5, decode=True) as connection:
        yield connection


@pytest.fixture
def broker(settings: Settings) -> Iterator[WakingBroker]:
    with open_redis(settings.redis_url, timeout=5) as connection:
        yield make_broker(settings, connection)


@pytest.fixture
def callbacks(client: redis.Redis, broker: WakingBroker) -> Callbacks:
    return Callbacks(client, Dispatcher(broker, Lanes(client)), RedisQueues(client))


def enter(ledger: Ledger, url: str = URL) -> str:
    head = msgspec.structs.replace(new_head(), callback_url=url)
    assert ledger.create_job(head, NOW * 1000, 100, HOUR)
    return head.task_id


def enter_ended(ledger: Ledger, url: str = URL) -> str:
    task_id = enter(ledger, url)
    ledger.fail_job(task_id, CANCELLED)
    return task_id


def status(ledger: Ledger, task_id: str) -> JobStatus:
    found = ledger.status(task_id)
    assert found is not None
    return found


def claim(
    callbacks: Callbacks, task_id: str, lease: int = LEASE, message_id: str = "first"
) -> Attempt:
    attempt = callbacks.claim(task_id, lease, message_id)
    assert attempt is not None
    return attempt


def waiting(client: redis.Redis) -> int:
    return client.hlen(f"dramatiq:{WEBHOOK_QUEUE}.msgs")


def test_a_job_in_flight_has_a_url_and_no_callback(
    ledger: Ledger, callbacks: Callbacks, client: redis.Redis
) -> None:
    task_id = enter(ledger)
    begin(ledger, task_id, 0)
    found = status(ledger, task_id)
    assert (found.callback_url, found.callback_state) == (URL, None)
    assert callbacks.claim(task_id, LEASE, "stray") is None
    callbacks.enqueue(task_id)
    assert waiting(client) == 0


def test_a_failed_and_a_completed_job_have_one_that_is_due_at_once(
    ledger: Ledger, callbacks: Callbacks
) -> None:
    failed, completed = enter_ended(ledger), enter(ledger)
    stage_all(ledger, completed)
    ledger.claim_bundle(completed, "a", LEASE, HOUR)
    ledger.complete_job(completed, "a", BUNDLE)
    for task_id, state, code in ((failed, "failed", "cancelled"), (completed, "completed", None)):
        attempt = claim(callbacks, task_id)
        job, result = attempt.job, attempt.result
        assert (result.state, result.error_code) == (state, code)
        assert (job.items, job.key_id) == (5, "key")
        assert (job.callback_url, attempt.number) == (URL, 1)
        assert result.finished_at == status(ledger, task_id).finished_at


def test_a_job_without_a_url_has_none(
    ledger: Ledger, callbacks: Callbacks, client: redis.Redis
) -> None:
    task_id = enter_ended(ledger, url="")
    assert status(ledger, task_id).callback_state is None
    assert callbacks.claim(task_id, LEASE, "stray") is None
    assert client.zcard(keys.CALLBACKS) == 0


def test_one_at_a_time_makes_an_attempt_and_the_next_when_its_lease_is_over(
    ledger: Ledger, callbacks: Callbacks
) -> None:
    task_id = enter_ended(ledger)
    first = claim(callbacks, task_id)
    assert callbacks.claim(task_id, LEASE, "stray") is None
    other = enter_ended(ledger)
    dead = claim(callbacks, other, OVER)
    second = claim(callbacks, other)
    assert (first.number, dead.number, second.number) == (1, 1, 2)
    assert dead.job == second.job


def test_a_delivery_counts_once_even_when_its_lease_was_over(
    ledger: Ledger, callbacks: Callbacks, client: redis.Redis
) -> None:
    task_id = enter_ended(ledger)
    slow = claim(callbacks, task_id, OVER)
    second = claim(callbacks, task_id)
    assert callbacks.delivered(slow)
    assert not callbacks.delivered(second)
    assert not callbacks.reschedule(second, "answered 500", 0)
    assert not callbacks.fail(second, "answered 500")
    found = status(ledger, task_id)
    assert (found.callback_state, found.callback_error) == ("delivered", None)
    assert found.callback_delivered_at is not None
    assert found.callback_due_at is None
    assert callbacks.claim(task_id, LEASE, "stray") is None
    assert client.zcard(keys.CALLBACKS) == 0


def test_a_failed_attempt_is_put_off_and_says_why(ledger: Ledger, callbacks: Callbacks) -> None:
    task_id = enter_ended(ledger)
    attempt = claim(callbacks, task_id)
    assert callbacks.reschedule(attempt, "answered 500", 5000)
    found = status(ledger, task_id)
    assert (found.callback_state, found.callback_attempts) == ("pending", 1)
    assert found.callback_error == "answered 500"
    assert found.callback_due_at is not None
    assert callbacks.claim(task_id, LEASE, "stray") is None
    assert callbacks.reschedule(attempt, "answered 500", OVER)
    assert claim(callbacks, task_id).number == 2


def test_a_failure_that_comes_late_does_not_count(ledger: Ledger, callbacks: Callbacks) -> None:
    task_id = enter_ended(ledger)
    slow = claim(callbacks, task_id, OVER)
    claim(callbacks, task_id)
    assert not callbacks.fail(slow, "answered 500")
    assert not callbacks.reschedule(slow, "answered 500", OVER)
    assert status(ledger, task_id).callback_error is None
    assert callbacks.claim(task_id, LEASE, "stray") is None


def test_one_that_failed_is_tried_once_more_when_its_own_message_comes_again(
    ledger: Ledger, callbacks: Callbacks, client: redis.Redis
) -> None:
    task_id = enter_ended(ledger)
    callbacks.reschedule(claim(callbacks, task_id, message_id="announced"), "answered 500", OVER)
    assert callbacks.fail(claim(callbacks, task_id, message_id="nudged"), "answered 410")
    found = status(ledger, task_id)
    assert (found.callback_state, found.callback_due_at) == ("failed", None)
    assert client.zcard(keys.CALLBACKS) == 0
    for stray in ("announced", "another"):
        assert callbacks.claim(task_id, LEASE, stray) is None
    assert status(ledger, task_id).callback_attempts == 2
    again = claim(callbacks, task_id, message_id="nudged")
    assert again.number == 3
    assert callbacks.claim(task_id, LEASE, "stray") is None
    assert callbacks.delivered(again)


def test_a_re_run_takes_it_back_and_the_next_end_is_another_event(
    ledger: Ledger, callbacks: Callbacks, client: redis.Redis
) -> None:
    task_id = enter_ended(ledger)
    before = claim(callbacks, task_id)
    callbacks.reschedule(before, "answered 500", OVER)
    ledger.retry_job(task_id, HOUR)
    found = status(ledger, task_id)
    assert (found.callback_state, found.callback_error) == (None, None)
    assert client.zcard(keys.CALLBACKS) == 0
    assert not callbacks.delivered(before)
    time.sleep(0.002)  # an end is told apart by its millisecond
    ledger.fail_job(task_id, CANCELLED)
    assert not callbacks.delivered(before)
    after = claim(callbacks, task_id)
    assert after.number == 1
    assert after.event != before.event


def test_a_message_put_back_that_opens_the_job_takes_it_back_too(
    ledger: Ledger, callbacks: Callbacks, client: redis.Redis
) -> None:
    of_chunk, of_bundle = enter(ledger), enter(ledger)
    ledger.fail_job(of_chunk, FAILURE, 0, "letter")
    work = begin(ledger, of_chunk, 0, "letter")
    stage_all(ledger, of_bundle)
    ledger.fail_job(of_bundle, FAILURE, None, "letter")
    attempts = [claim(callbacks, task_id) for task_id in (of_chunk, of_bundle)]
    ledger.stage_chunk(work, STAGED, HOUR)
    assert ledger.claim_bundle(of_bundle, "a", LEASE, HOUR, "letter") is not None
    for attempt in attempts:
        assert status(ledger, attempt.job.task_id).callback_state is None
        assert not callbacks.delivered(attempt)
    assert client.zcard(keys.CALLBACKS) == 0
    ledger.complete_job(of_bundle, "a", BUNDLE)
    assert claim(callbacks, of_bundle).result.state == "completed"


def test_each_due_one_gets_a_message_and_is_then_left_alone(
    ledger: Ledger, callbacks: Callbacks, client: redis.Redis
) -> None:
    tasks = {enter_ended(ledger) for _ in range(3)}
    attempt = claim(callbacks, enter_ended(ledger))
    assert callbacks.enqueue_due(LEASE) == 3
    assert callbacks.enqueue_due(LEASE) == 0
    sent = client.hvals(f"dramatiq:{WEBHOOK_QUEUE}.msgs")
    assert {dramatiq.Message.decode(str(raw).encode()).args for raw in sent} == {
        (t,) for t in tasks
    }
    callbacks.reschedule(attempt, "answered 500", OVER)
    assert callbacks.enqueue_due(LEASE) == 1


def test_no_more_messages_are_sent_than_may_wait(
    ledger: Ledger, callbacks: Callbacks, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.webhooks.schedule._WAITING", 4)
    for _ in range(6):
        enter_ended(ledger)
    callbacks.requeue_later(enter_ended(ledger))
    assert [callbacks.enqueue_due(OVER) for _ in range(3)] == [3, 0, 0]
    callbacks.requeue_later(enter_ended(ledger))
    assert waiting(client) == 3
    assert client.hlen(f"dramatiq:{WEBHOOK_QUEUE}.DQ.msgs") == 1


def test_messages_that_come_again_leave_room_for_nudges_about_others(
    ledger: Ledger, callbacks: Callbacks, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.webhooks.schedule._WAITING", 4)
    for _ in range(6):
        callbacks.requeue_later(enter_ended(ledger))
    assert client.hlen(f"dramatiq:{WEBHOOK_QUEUE}.DQ.msgs") == 2
    assert callbacks.enqueue_due(LEASE) == 2


@pytest.mark.parametrize(
    ("code", "state"), [("cancelled", "delivered"), ("render_failed", "pending")]
)
def test_a_lost_job_comes_back_with_the_record_of_its_callback_if_it_is_of_that_end(
    ledger: Ledger, callbacks: Callbacks, code: str, state: str
) -> None:
    head = msgspec.structs.replace(new_head(), callback_url=URL)
    result = Result(state="failed", finished_at=NOW * 1000, error="x", error_code="cancelled")
    record = CallbackRecord(
        job_state="failed",
        job_error_code=code,
        callback_state="delivered",
        callback_event="before",
        callback_attempts=3,
        callback_delivered_at=NOW * 1000,
    )
    assert ledger.restore_job(head, 100, result, record)
    found = status(ledger, head.task_id)
    assert found.callback_state == state
    assert (callbacks.claim(head.task_id, LEASE, "stray") is not None) == (state == "pending")
