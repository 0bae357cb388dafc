"""What the pipeline asks of a broker's queues, of Redis and of RabbitMQ alike."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import dramatiq
import msgspec
import pytest
import redis

from deploy.embedded.ports import free_port
from pipeline.broker.factory import BrokerParts, open_broker, worker_name
from pipeline.broker.inspection import QueueState, assign_dead_letter_id, letter_id
from pipeline.broker.names import (
    ALL_QUEUES,
    BUNDLE_QUEUE,
    EXPRESS_QUEUE,
    RENDER_ACTOR,
    RENDER_QUEUE,
)
from pipeline.broker.rabbitmq import RabbitBroker
from pipeline.broker.rabbitmq_connection import Outgoing
from pipeline.errors import BrokerUnavailableError, LedgerUnavailableError
from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis
from pipeline.ledger.ledger import Ledger
from pipeline.settings import Settings
from tests.contract.test_ledger import HOUR, new_head
from tests.rabbitmq import RunningRabbitmq
from tests.waiting import wait_for

TENANT = "4f9k2m7q1x8z"
AWAY = (LedgerUnavailableError, BrokerUnavailableError)


@contextmanager
def opened(settings: Settings) -> Iterator[BrokerParts]:
    with (
        open_redis(settings.redis_url, timeout=5, decode=True) as text,
        open_redis(settings.redis_url, timeout=5) as plain,
    ):
        parts = open_broker(settings, text, plain, timeout=5)
        with closing(parts.broker):
            yield parts


@pytest.fixture(params=["redis", "rabbitmq"])
def chosen(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Settings that name one broker or the other."""
    if request.param == "redis":
        return settings
    url: str = request.getfixturevalue("broker_url")
    return msgspec.structs.replace(settings, broker_url=url)


@pytest.fixture
def parts(chosen: Settings) -> Iterator[BrokerParts]:
    with opened(chosen) as found:
        yield found


@pytest.fixture
def text(settings: Settings) -> Iterator[redis.Redis]:
    with open_redis(settings.redis_url, timeout=5, decode=True) as client:
        yield client


def state(parts: BrokerParts, queue: str = RENDER_QUEUE) -> QueueState:
    return {each.name: each for each in parts.queues.read()}[queue]


def counts(parts: BrokerParts) -> tuple[int, int, int, int]:
    found = state(parts)
    return found.waiting, found.in_progress, found.delayed, found.dead


def message(seconds_ago: int = 0, queue: str = RENDER_QUEUE) -> dramatiq.Message[None]:
    new: dramatiq.Message[None] = dramatiq.Message(
        queue, RENDER_ACTOR, ("a-task", 0), {}, {"retries": 4, "traceback": "Because."}
    )
    return new.copy(message_timestamp=new.message_timestamp - seconds_ago * 1000)


def bury(parts: BrokerParts, text: redis.Redis, letter: str) -> None:
    """Make anything a dead letter, on RabbitMQ as a consumer does with what it cannot read."""
    if isinstance(parts.broker, RabbitBroker):
        parts.broker.amqp.publish([Outgoing(RENDER_QUEUE, letter.encode())])
        with fetched(parts, 1) as consumer:
            wait_for(lambda: next(consumer) or counts(parts)[3], "RabbitMQ's own dead letter")
    else:
        text.zadd(keys.dead_letters(RENDER_QUEUE), {letter: time.time() * 1000})
        text.hset(keys.dead_messages(RENDER_QUEUE), letter, letter)


@contextmanager
def fetched(parts: BrokerParts, prefetch: int, queue: str = RENDER_QUEUE) -> Iterator[Any]:
    """Consume as a worker's thread does."""
    with closing(parts.broker.consume(queue, prefetch, 100)) as consumer:
        yield consumer


def next_message(consumer: Any) -> dramatiq.MessageProxy:  # noqa: ANN401 - of either broker
    found: dramatiq.MessageProxy = wait_for(lambda: next(consumer), "a message")
    return found


@contextmanager
def working(parts: BrokerParts) -> Iterator[threading.Event]:
    """Run a worker whose messages take until the event is set, and then fail no more."""
    done = threading.Event()
    dramatiq.actor(broker=parts.broker, queue_name=RENDER_QUEUE, actor_name=RENDER_ACTOR)(
        lambda *_: done.wait(30) and None
    )
    parts.broker.broker_id = worker_name()
    worker = dramatiq.Worker(parts.broker, queues={RENDER_QUEUE}, worker_threads=1)
    worker.start()
    try:
        yield done
    finally:
        done.set()
        worker.stop()


def test_queues_that_nothing_was_sent_to_are_empty(parts: BrokerParts) -> None:
    parts.queues.ping()
    nothing = (0, 0, 0, 0, 0.0, 0.0)
    assert parts.queues.read() == [QueueState(queue, *nothing) for queue in ALL_QUEUES]
    assert parts.queues.size(*ALL_QUEUES) == parts.queues.waiting(*ALL_QUEUES) == 0
    assert parts.queues.letters(RENDER_QUEUE, 9) == []
    assert parts.queues.requeue(RENDER_QUEUE, []) == parts.queues.discard(RENDER_QUEUE, []) == 0
    assert parts.heartbeats.workers() == []


def test_messages_are_told_by_what_is_happening_to_them(parts: BrokerParts) -> None:
    parts.dispatcher.send_chunks("a-task", range(3), TENANT)
    assert counts(parts) == (3, 0, 0, 0)
    assert state(parts, EXPRESS_QUEUE).waiting == 0
    assert (parts.queues.size(RENDER_QUEUE), parts.queues.size(EXPRESS_QUEUE)) == (3, 0)
    assert parts.heartbeats.alive() == 0
    with working(parts) as done:
        # Two are fetched for each thread.
        wait_for(lambda: counts(parts) == (1, 2, 0, 0), "two messages in progress")
        assert parts.queues.size(RENDER_QUEUE) == 3
        assert parts.queues.waiting(RENDER_QUEUE, EXPRESS_QUEUE) == 1
        assert parts.heartbeats.alive() == 1
        parts.broker.enqueue(message(), delay=60_000)
        wait_for(lambda: counts(parts) == (1, 2, 1, 0), "one that is delayed")
        done.set()
        wait_for(lambda: counts(parts) == (0, 0, 1, 0), "no other message")
    wait_for(lambda: counts(parts) == (0, 0, 1, 0), "the delayed one, back in its queue")


def test_a_worker_that_died_long_ago_is_forgotten(parts: BrokerParts, text: redis.Redis) -> None:
    gone = "worker:gone:1:aa"
    text.zadd(keys.HEARTBEATS, {gone: 1})
    if isinstance(parts.broker, RabbitBroker):  # Redis itself has the messages of a worker
        text.hset(keys.HELD, gone, "{}")
    with working(parts):
        wait_for(lambda: text.zscore(keys.HEARTBEATS, gone) is None, "its heartbeat to be deleted")
        wait_for(lambda: not text.hexists(keys.HELD, gone), "its messages to be deleted")
        assert parts.heartbeats.alive() == 1


@pytest.mark.parametrize(
    ("queue", "other", "items"),
    [(RENDER_QUEUE, EXPRESS_QUEUE, 3), (EXPRESS_QUEUE, RENDER_QUEUE, 2)],
)
def test_the_oldest_that_waits_is_known(
    parts: BrokerParts, ledger: Ledger, queue: str, other: str, items: int
) -> None:
    """As Redis keeps the message, or as the ledger has the work that nobody has begun."""
    began = time.time_ns() // 1_000_000 - 100_000
    for seconds_ago in (100, 10):
        parts.broker.enqueue(message(seconds_ago, queue))
    assert ledger.create_job(new_head(items), began, 100, HOUR)
    assert ledger.create_job(new_head(items), began + 90_000, 100, HOUR)
    assert state(parts, queue).oldest_waiting == pytest.approx(100, abs=5)
    assert state(parts, other).oldest_waiting == 0


def test_a_dead_letter_tells_why_and_is_put_back_once(
    parts: BrokerParts, text: redis.Redis
) -> None:
    bury(parts, text, "not a message")
    parts.broker.enqueue(message())
    with fetched(parts, 1) as consumer:
        dead = next_message(consumer)
        dead.options["error_code"] = "render_failed"
        consumer.nack(dead)
        assert parts.queues.attach_error(dead)
        wait_for(lambda: counts(parts) == (0, 0, 0, 2), "two dead letters")
        assert state(parts).oldest_dead == pytest.approx(0, abs=10)
    letters = parts.queues.letters(RENDER_QUEUE, 9)
    assert [letter.text == "not a message" for letter in letters] in ([True, False], [False, True])
    (letter,) = [each for each in letters if each.text != "not a message"]
    assert '"error_code":"render_failed"' in letter.text.replace(" ", "")
    assert abs(letter.died_at / 1000 - time.time()) < 10
    wanted = [each.letter_id for each in letters] + ["nobody"]
    assert [parts.queues.requeue(RENDER_QUEUE, wanted) for _ in range(2)] == [1, 0]
    assert counts(parts) == (1, 0, 0, 1)  # what no worker could read has stayed
    with fetched(parts, 1) as consumer:
        again = next_message(consumer)
        assert (again.message_id, again.args) == (dead.message_id, ("a-task", 0))
        assert again.options["retries"] == 0
        assert not {"traceback", "error_code"} & again.options.keys()
        consumer.ack(again)
    assert [parts.queues.discard(RENDER_QUEUE, wanted) for _ in range(2)] == [1, 0]
    assert parts.queues.letters(RENDER_QUEUE, 9) == []


def test_a_dead_letter_has_its_own_id_and_a_message_that_is_none_is_told(
    parts: BrokerParts,
) -> None:
    parts.broker.enqueue(message())
    with fetched(parts, 1) as consumer:
        dead = next_message(consumer)
        assert not parts.queues.attach_error(dead)
        for _ in range(2):
            assign_dead_letter_id(dead)
        consumer.nack(dead)
        assert parts.queues.attach_error(dead)
    wait_for(lambda: counts(parts)[3] == 1, "a dead letter")
    wanted = [each.letter_id for each in parts.queues.letters(RENDER_QUEUE, 9)]
    assert parts.queues.requeue(RENDER_QUEUE, wanted) == 1
    with fetched(parts, 1) as consumer:
        again = next_message(consumer)
        assert again.message_id == letter_id(dead) != dead.message_id
        assert letter_id(again) == again.message_id


def test_the_newest_letters_come_first_however_often_they_are_looked_at(
    parts: BrokerParts, text: redis.Redis
) -> None:
    with fetched(parts, 1) as consumer:
        sent = []
        for _ in range(4):
            parts.broker.enqueue(message())
            dead = next_message(consumer)
            consumer.nack(dead)
            sent.append(dead.message_id)
            died = time.time()
            wait_for(lambda: time.time() > died + 0.002, "another millisecond")  # noqa: B023 - asked in this round
    wait_for(lambda: counts(parts)[3] == 4, "four dead letters")
    for _ in range(30):  # from RabbitMQ 4.0 on, the 20th would be the last
        found = parts.queues.letters(RENDER_QUEUE, 2)
        read = [msgspec.json.decode(letter.text)["message_id"] for letter in found]
        assert read == sent[:1:-1]
    assert counts(parts)[3] == 4
    assert text.llen(keys.queue(RENDER_QUEUE)) == 0


def test_two_who_put_back_at_once_put_back_once(parts: BrokerParts) -> None:
    with fetched(parts, 1) as consumer:
        for _ in range(3):
            parts.broker.enqueue(message())
            consumer.nack(next_message(consumer))
    wait_for(lambda: counts(parts)[3] == 3, "three dead letters")
    wanted = [letter.letter_id for letter in parts.queues.letters(RENDER_QUEUE, 9)]
    with ThreadPoolExecutor(4) as pool:
        put = [pool.submit(parts.queues.requeue, RENDER_QUEUE, wanted) for _ in range(4)]
    assert sum(each.result() for each in put) == 3
    assert counts(parts) == (3, 0, 0, 0)


def test_over_tls_messages_go_to_the_server_that_is_trusted_alone(
    settings: Settings,
    broker_url: str,
    rabbitmq: RunningRabbitmq,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over_tls = msgspec.structs.replace(settings, broker_url=rabbitmq.server.tls_url)
    with opened(over_tls) as parts, pytest.raises(BrokerUnavailableError, match="verify failed"):
        parts.dispatcher.send_bundle("a-task", TENANT)
    monkeypatch.setenv("SSL_CERT_FILE", str(rabbitmq.certificate))
    with opened(over_tls) as parts:
        parts.dispatcher.send_bundle("a-task", TENANT)
        assert state(parts, BUNDLE_QUEUE).waiting == 1
        with fetched(parts, 1, BUNDLE_QUEUE) as consumer:
            assert next_message(consumer).args == ("a-task",)
    with opened(msgspec.structs.replace(settings, broker_url=broker_url)) as parts:
        wait_for(lambda: state(parts, BUNDLE_QUEUE).waiting == 1, "the message is back")


def test_many_threads_send_at_once(parts: BrokerParts) -> None:
    with ThreadPoolExecutor(16) as pool:
        sent = [
            pool.submit(parts.dispatcher.send_chunks, "a-task", range(5), TENANT) for _ in range(40)
        ]
    assert [each.result() for each in sent] == [None] * 40
    assert state(parts).waiting == 200


def test_nothing_of_a_batch_goes_out_when_its_block_raises(parts: BrokerParts) -> None:
    with pytest.raises(ZeroDivisionError), parts.broker.batch() as batch:
        batch.enqueue(message(batch.enqueue(message()).message_timestamp // 0))
    assert state(parts).waiting == 0


def test_a_broker_that_is_away_is_told_as_such(chosen: Settings) -> None:
    field, url = (
        ("redis_url", "redis://127.0.0.1:{}")
        if chosen.broker_url is None
        else ("broker_url", "amqp://nobody:secret@127.0.0.1:{}")
    )
    away = msgspec.structs.replace(chosen, **{field: url.format(free_port())})
    with opened(away) as parts:
        for ask in (
            parts.queues.ping,
            parts.queues.read,
            lambda: parts.queues.size(RENDER_QUEUE),
            lambda: parts.queues.letters(RENDER_QUEUE, 1),
            lambda: parts.queues.requeue(RENDER_QUEUE, ["x"]),
            lambda: parts.queues.discard(RENDER_QUEUE, ["x"]),
            lambda: parts.dispatcher.send_bundle("a-task", TENANT),
            lambda: parts.dispatcher.send_chunks("a-task", range(3), TENANT),
        ):
            with pytest.raises(AWAY) as raised:
                ask()
            assert "secret" not in str(raised.value)
