"""Idle workers are woken by a message, and find it without that too."""

import threading
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, cast

import dramatiq
import pytest
import redis

from pipeline.broker.factory import make_broker
from pipeline.broker.names import RENDER_QUEUE
from pipeline.broker.redis import WakingBroker
from pipeline.ledger.connection import open_redis
from pipeline.ledger.keys import ENQUEUED
from pipeline.service import Settings
from tests.waiting import wait_for

if TYPE_CHECKING:
    from pipeline.broker.redis import WakingConsumer

#: Seconds that a consumer waits which nobody wakes: more than a test may take, and next to nothing.
LONG, SHORT = 600.0, 0.1


class Idle:
    """A worker whose consumers look for messages only when they are woken, or after ``seconds``."""

    def __init__(self, settings: Settings, seconds: float = LONG) -> None:
        self.client = open_redis(settings.redis_url, timeout=5)
        self.broker = make_broker(settings, self.client)
        self.done = threading.Semaphore(0)

        def work() -> None:
            self.done.release()

        dramatiq.actor(broker=self.broker, queue_name=RENDER_QUEUE, actor_name="work")(work)
        self.worker = dramatiq.Worker(
            self.broker, worker_threads=1, worker_timeout=200, queues={RENDER_QUEUE}
        )
        self.worker.start()
        wait_for(self._listens, "a listener")
        self._wait_for(seconds)

    def _listens(self) -> bool:
        ((_, count),) = self.client.pubsub_numsub(ENQUEUED)
        return bool(count)

    def _wait_for(self, seconds: float) -> None:
        for thread in self.worker.consumers.values():
            wait_for(partial(getattr, thread, "consumer"), "a consumer")
            consumer = cast("WakingConsumer", thread.consumer)
            consumer._idle = seconds
            consumer._event.set()
            wait_for(partial(_not_set, consumer._event), "the next wait")

    def stop(self) -> None:
        self._wait_for(SHORT)
        self.worker.stop()


def _not_set(event: threading.Event) -> bool:
    return not event.is_set()


@pytest.fixture
def idle(settings: Settings) -> Iterator[Idle]:
    made = Idle(settings)
    yield made
    made.stop()


def send(settings: Settings, count: int = 1) -> None:
    broker = make_broker(settings, open_redis(settings.redis_url, timeout=5))
    for _ in range(count):
        broker.enqueue(
            dramatiq.Message(
                queue_name=RENDER_QUEUE, actor_name="work", args=(), kwargs={}, options={}
            )
        )


def test_a_message_wakes_an_idle_worker(idle: Idle, settings: Settings) -> None:
    send(settings)
    assert idle.done.acquire(timeout=20)


def test_room_that_is_made_is_filled_at_once(idle: Idle, settings: Settings) -> None:
    """More messages than are fetched at once: each that is done makes the next one be fetched."""
    send(settings, 20)
    for _ in range(20):
        assert idle.done.acquire(timeout=20)


def message() -> dramatiq.Message[None]:
    return dramatiq.Message(
        queue_name=RENDER_QUEUE, actor_name="work", args=(), kwargs={}, options={}
    )


@pytest.fixture
def sender(settings: Settings) -> Iterator[WakingBroker]:
    with open_redis(settings.redis_url, timeout=5) as client:
        yield make_broker(settings, client)


def waiting(broker: WakingBroker) -> int:
    return int(broker.client.hlen(f"dramatiq:{RENDER_QUEUE}.msgs"))


def test_messages_that_are_sent_together_go_out_at_the_end_with_one_word(
    sender: WakingBroker,
) -> None:
    with sender.client.pubsub() as channel:
        channel.subscribe(ENQUEUED)
        assert channel.get_message(timeout=5)["type"] == "subscribe"
        with sender.batch() as batch:
            for _ in range(3):
                batch.enqueue(message())
            assert waiting(sender) == 0
        assert waiting(sender) == 3
        sender.enqueue(message())  # which sends as ever
        assert waiting(sender) == 4
        words = [channel.get_message(timeout=5)["data"] for _ in range(2)]
        assert words == [RENDER_QUEUE.encode()] * 2
        assert channel.get_message(timeout=0.1) is None


def test_nothing_of_a_batch_goes_out_when_its_block_raises(sender: WakingBroker) -> None:
    def fail() -> None:
        with sender.batch() as batch:
            batch.enqueue(message())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert waiting(sender) == 0


def test_messages_that_are_sent_together_wake_an_idle_worker(
    idle: Idle, sender: WakingBroker
) -> None:
    sender.client.script_flush()  # as after a restart of Redis
    with sender.batch() as batch:
        for _ in range(5):
            batch.enqueue(message())
    for _ in range(5):
        assert idle.done.acquire(timeout=20)


def test_messages_that_came_while_nobody_could_hear_are_found(
    idle: Idle, settings: Settings
) -> None:
    idle.client.client_kill_filter(_type="pubsub")
    send(settings)
    assert idle.done.acquire(timeout=20)


def test_a_message_that_nobody_announced_is_found_after_the_time_out(settings: Settings) -> None:
    quiet = Idle(settings, SHORT)
    try:
        broker = make_broker(settings, open_redis(settings.redis_url, timeout=5))
        broker._notifier._client = redis.Redis(port=1)
        broker.enqueue(
            dramatiq.Message(
                queue_name=RENDER_QUEUE, actor_name="work", args=(), kwargs={}, options={}
            )
        )
        assert quiet.done.acquire(timeout=20)
    finally:
        quiet.stop()
