"""What Prometheus is told of the ledger and the queues, on a real server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from typing import Any

import dramatiq
import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from pipeline.broker.dispatcher import Dispatcher
from pipeline.broker.factory import make_broker
from pipeline.broker.heartbeats import Heartbeats
from pipeline.broker.lanes import Lanes
from pipeline.broker.names import EXPRESS_QUEUE, RENDER_QUEUE, WEBHOOK_QUEUE
from pipeline.broker.redis import WakingBroker
from pipeline.broker.redis_queues import RedisQueues
from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis
from pipeline.ledger.ledger import Ledger
from pipeline.model.failure_reasons import Failure
from pipeline.model.states import DURATION_BOUNDS
from pipeline.monitoring.ledger_metrics import LedgerCollector, _buckets
from pipeline.settings import Settings
from pipeline.worker import build_worker
from tests.contract.test_ledger import BUNDLE, FAILURE, HOUR, LEASE, STAGED, begin, enter, stage_all


class Told:
    """Reads single values of a scrape."""

    def __init__(self, settings: Settings) -> None:
        text = open_redis(settings.redis_url, timeout=5, decode=True)
        queues, heartbeats = RedisQueues(text), Heartbeats(text, 15_000)
        self._registry = CollectorRegistry()
        self._registry.register(
            LedgerCollector(text, queues, heartbeats, max_backlog=100, deadline=3600)
        )

    def __call__(self, name: str, **labels: str) -> float | None:
        return self._registry.get_sample_value(name, labels)

    def ended(self, outcome: str) -> tuple[float | None, ...]:
        labels = {"format": "png", "outcome": outcome}
        names = ("qrmill_jobs_ended_total", "qrmill_items_ended_total", "qrmill_job_seconds_count")
        return tuple(self(name, **labels) for name in names)

    def queue(self, queue: str) -> dict[str, float | None]:
        states = ("waiting", "in_progress", "delayed", "dead")
        return {state: self("qrmill_queue_messages", queue=queue, state=state) for state in states}


@pytest.fixture
def told(settings: Settings) -> Told:
    return Told(settings)


@pytest.fixture
def broker(settings: Settings) -> Iterator[WakingBroker]:
    with closing(make_broker(settings, open_redis(settings.redis_url, timeout=5))) as made:
        yield made


@pytest.fixture
def dispatcher(settings: Settings, broker: WakingBroker) -> Iterator[Dispatcher]:
    with open_redis(settings.redis_url, timeout=5, decode=True) as client:
        yield Dispatcher(broker, Lanes(client))


def test_a_completed_job_counts_once_however_many_say_so_at_once(
    ledger: Ledger, told: Told
) -> None:
    assert told.ended("completed") == (0, 0, None)
    task_id = enter(ledger)
    stage_all(ledger, task_id)
    ledger.claim_bundle(task_id, "a", LEASE, HOUR)
    with ThreadPoolExecutor(8) as pool:
        ends = [pool.submit(ledger.complete_job, task_id, "a", BUNDLE) for _ in range(16)]
    (done,) = [result for end in ends if (result := end.result()) is not None]
    assert done.state == "completed"
    assert ledger.fail_job(task_id, FAILURE) is None
    assert told.ended("completed") == (1, 5, 1)
    assert told.ended("render_failed") == (0, 0, None)


def test_a_failed_job_counts_once_by_its_first_reason(ledger: Ledger, told: Told) -> None:
    task_id = enter(ledger)
    stage_all(ledger, task_id, 2)
    for failure in (FAILURE, FAILURE, Failure("deadline", "Late.", final=True)):
        ledger.fail_job(task_id, failure, None)
    assert told.ended("render_failed") == (1, 5, 1)
    assert told.ended("deadline") == (0, 0, None)
    # Opened again and completed, it has ended twice; the time between does not count.
    assert ledger.retry_job(task_id, HOUR) is not None
    ledger.stage_chunk(begin(ledger, task_id, 2), STAGED, HOUR)
    ledger.claim_bundle(task_id, "a", LEASE, HOUR)
    ledger.complete_job(task_id, "a", BUNDLE)
    assert told.ended("completed") == (1, 5, 1)
    labels = {"format": "png", "outcome": "completed"}
    assert told("qrmill_job_seconds_bucket", le="60.0", **labels) == 1


def test_the_metric_of_the_time_of_jobs_is_in_seconds(told: Told, redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.hset(keys.COUNTS, "milliseconds png completed", 12_345)
    assert told("qrmill_job_seconds_sum", format="png", outcome="completed") == 12.345


def test_an_outcome_that_is_not_known_makes_no_label(ledger: Ledger, told: Told) -> None:
    ledger.fail_job(enter(ledger), Failure("new_reason", "New."))
    ledger.fail_job(enter(ledger), Failure("newer_reason", "Newer."))
    assert told.ended("other") == (2, 10, 2)
    assert told.ended("new_reason") == (None, None, None)


@given(st.lists(st.integers(0, 9), min_size=len(DURATION_BOUNDS) + 1))
def test_buckets_are_cumulative_and_end_at_the_number_of_jobs(counts: list[int]) -> None:
    kinds = {str(bound): count for bound, count in zip(DURATION_BOUNDS, counts, strict=False)}
    beyond = counts[len(DURATION_BOUNDS)]
    buckets = _buckets({**kinds, "jobs": sum(kinds.values()) + beyond})
    totals = [total for _, total in buckets]
    assert all(below <= above for below, above in pairwise(totals))
    assert [bound for bound, _ in buckets][-2:] == ["3600.0", "+Inf"]
    assert totals[-2:] == [sum(kinds.values()), sum(kinds.values()) + beyond]


def test_jobs_in_flight_and_the_one_nearest_its_deadline(ledger: Ledger, told: Told) -> None:
    assert told("qrmill_jobs_in_flight") == told("qrmill_job_deadline_used_ratio") == 0
    first = enter(ledger)
    enter(ledger)
    assert told("qrmill_jobs_in_flight") == 2
    assert told("qrmill_job_deadline_used_ratio") == pytest.approx(0, abs=0.02)
    ledger.fail_job(first, FAILURE)
    assert ledger.retry_job(first, HOUR // 4) is not None  # its age is no matter, its deadline is
    assert told("qrmill_job_deadline_used_ratio") == pytest.approx(0.75, abs=0.02)


def test_callbacks_have_a_queue_that_is_told_and_is_no_backlog(
    dispatcher: Dispatcher, told: Told
) -> None:
    dispatcher.send_callback("t")
    assert told.queue(WEBHOOK_QUEUE)["waiting"] == 1
    assert told("qrmill_backlog_messages") == 0


def test_messages_are_told_by_what_is_happening_to_them(
    broker: WakingBroker, dispatcher: Dispatcher, told: Told
) -> None:
    dispatcher.send_chunks("t", range(3), "a")
    assert told.queue(RENDER_QUEUE) == {"waiting": 3, "in_progress": 0, "delayed": 0, "dead": 0}
    assert told.queue(EXPRESS_QUEUE)["waiting"] == 0
    assert told("qrmill_backlog_messages") == 3
    assert told("qrmill_backlog_limit_messages") == 100
    consumer: Any = broker.consume(RENDER_QUEUE, prefetch=2, timeout=100)
    first, second = next(consumer), next(consumer)
    assert told.queue(RENDER_QUEUE) == {"waiting": 1, "in_progress": 2, "delayed": 0, "dead": 0}
    consumer.ack(second)
    consumer.nack(first)
    assert told.queue(RENDER_QUEUE) == {"waiting": 1, "in_progress": 0, "delayed": 0, "dead": 1}
    broker.enqueue(first._message, delay=60_000)
    assert told.queue(RENDER_QUEUE)["delayed"] == 1


def test_the_oldest_message_is_found_at_either_end(broker: WakingBroker, told: Told) -> None:
    def send(seconds_ago: int) -> None:
        message: dramatiq.Message[None] = dramatiq.Message(
            RENDER_QUEUE, "render_chunk", ("t", 0), {}, {}
        )
        stamp = message.message_timestamp - seconds_ago * 1000
        broker.enqueue(message.copy(message_timestamp=stamp))

    def age() -> float | None:
        return told("qrmill_queue_oldest_seconds", queue=RENDER_QUEUE, state="waiting")

    assert age() == 0
    send(100)
    send(10)
    assert age() == pytest.approx(100, abs=5)
    send(500)  # one that a dead worker had fetched
    assert age() == pytest.approx(500, abs=5)


def test_only_workers_count_as_workers(
    dispatcher: Dispatcher, settings: Settings, told: Told
) -> None:
    dispatcher.send_chunks("t", [0], "a")  # a sign of life, but not of a worker
    assert told("qrmill_workers") == 0
    with closing(build_worker(settings)) as worker:
        next(worker.consume(EXPRESS_QUEUE, timeout=100))
        assert told("qrmill_workers") == 1


def test_without_redis_only_that_is_told(settings: Settings) -> None:
    fields = {name: getattr(settings, name) for name in settings.__struct_fields__}
    away = Told(Settings(**{**fields, "redis_url": "redis://127.0.0.1:1"}))
    assert away("qrmill_redis_up") == 0
    assert away("qrmill_workers") is None
