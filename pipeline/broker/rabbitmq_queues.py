"""Queues of the RabbitMQ broker, read over AMQP, from heartbeats and from the ledger.

AMQP reports the number of messages in a queue that no consumer has fetched, and any client can
fetch dead letters. AMQP does not report the number of unacknowledged messages, which is read from
the workers' heartbeats (:mod:`pipeline.broker.heartbeats`). AMQP does not report waiting times
either, which are estimated from the ledger (:mod:`pipeline.broker.queue_age`). RabbitMQ's
management plugin is not needed.

Dead letters can be read only by fetching them, which hides them from all other clients until they
are returned. A lock in Redis therefore serializes reading and counting. A requeued dead letter is
published before it is removed. An interruption between the two steps duplicates the message and
never loses it.
"""

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import msgspec
import pika
import redis
from dramatiq import ConnectionClosed, MessageProxy
from dramatiq.common import dq_name, xq_name
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError
from pika.spec import BasicProperties

from pipeline.broker.heartbeats import Heartbeats
from pipeline.broker.inspection import DeadLetter, QueueState, age, renewed
from pipeline.broker.names import ALL_QUEUES
from pipeline.broker.queue_age import QueueAge
from pipeline.broker.rabbitmq import DIED_AT
from pipeline.broker.rabbitmq_connection import Amqp, Outgoing
from pipeline.broker.rabbitmq_errors import explain
from pipeline.errors import BrokerUnavailableError
from pipeline.ledger import keys
from pipeline.ledger.connection import translated

#: Largest number of dead letters that are read from a queue, oldest first.
_MOST_LETTERS = 10_000
#: Seconds after which the lock on dead letters expires.
_LOCK_TIMEOUT = 30.0
#: Seconds to wait for the lock, and for RabbitMQ to return dead letters to their queue.
_PATIENCE = 1.0
#: Seconds between two checks of whether all dead letters are in the queue again.
_PAUSE = 0.005


class _Named(msgspec.Struct):
    message_id: str


class RabbitQueues:
    """Queues of one RabbitMQ server.

    Args:
        amqp: connection on which the queues are declared.
        client: Redis client.
        heartbeats: source of the workers' unacknowledged messages.
        queue_age: source of the waiting times.
    """

    def __init__(
        self, amqp: Amqp, client: redis.Redis, heartbeats: Heartbeats, queue_age: QueueAge
    ) -> None:
        self._amqp = amqp
        self._client = client
        self._heartbeats = heartbeats
        self._queue_age = queue_age

    def ping(self) -> None:
        """Check that RabbitMQ responds and has the queues."""
        self._count(*ALL_QUEUES)

    def read(self) -> list[QueueState]:
        """Return the state of every queue."""
        with self._exclusive():
            ready = self._count(*(kind for queue in ALL_QUEUES for kind in _kinds(queue)))
        held = self._heartbeats.held()
        nonempty = [queue for queue in ALL_QUEUES if ready[queue]]
        oldest = self._queue_age.oldest_waiting(nonempty) if nonempty else {}
        return [
            QueueState(
                name=queue,
                waiting=ready[queue],
                in_progress=held[queue],
                delayed=ready[dq_name(queue)] + held[dq_name(queue)],
                dead=ready[xq_name(queue)],
                oldest_waiting=age(oldest.get(queue)) if ready[queue] else 0.0,
                oldest_dead=age(self._oldest_death(queue)) if ready[xq_name(queue)] else 0.0,
            )
            for queue in ALL_QUEUES
        ]

    def size(self, *queues: str) -> int:
        """Return the number of messages that are not yet processed."""
        names = [name for queue in queues for name in (queue, dq_name(queue))]
        held = self._heartbeats.held()
        return sum(self._count(*names).values()) + sum(held[name] for name in names)

    def waiting(self, *queues: str) -> int:
        """Return the number of messages that no worker has fetched."""
        return sum(self._count(*queues).values())

    def letters(self, queue: str, limit: int) -> list[DeadLetter]:
        """Return the newest dead letters, by fetching and then releasing every dead letter."""
        with self._fetching(queue) as letters:
            newest = deque((letter for _, letter in letters), maxlen=limit)
        return sorted(newest, key=lambda letter: letter.died_at, reverse=True)

    def requeue(self, queue: str, letter_ids: list[str]) -> int:
        """Requeue dead letters: publish each one, and remove it after the confirmation."""

        def send(letter: DeadLetter) -> bool:
            message = renewed(letter.text)
            if message is not None:
                self._amqp.publish([Outgoing(queue, message.encode())])
            return message is not None

        return self._take(queue, letter_ids, send)

    def discard(self, queue: str, letter_ids: list[str]) -> int:
        """Delete dead letters."""
        return self._take(queue, letter_ids, lambda _: True)

    def attach_error(self, message: MessageProxy) -> bool:
        """Return True if the consumer has published the message as a dead letter with its error."""
        return bool(getattr(message, "buried", False))

    def _take(self, queue: str, letter_ids: list[str], act: Callable[[DeadLetter], bool]) -> int:
        wanted, taken = {*letter_ids}, set()
        if not wanted:
            return 0
        with self._fetching(queue) as letters:
            for tag, letter in letters:
                # Duplicates of a dead letter are removed together with it.
                if letter.letter_id in taken or (letter.letter_id in wanted and act(letter)):
                    letters.remove(tag)
                    taken.add(letter.letter_id)
        return len(taken)

    def _oldest_death(self, queue: str) -> int | None:
        with self._fetching(queue) as letters:
            _, first = next(iter(letters), (0, None))
        return first.died_at or None if first else None

    def _count(self, *queues: str) -> dict[str, int]:
        with _translated():
            return dict(zip(queues, self._amqp.count(queues), strict=True))

    @contextmanager
    def _fetching(self, queue: str) -> Iterator["_DeadLetterQueue"]:
        """Yield the dead letters, oldest first; release those that the block did not remove."""
        with _translated(), self._exclusive():
            self._amqp.declare()
            with pika.BlockingConnection(self._amqp.parameters) as connection:
                letters = _DeadLetterQueue(connection.channel(), xq_name(queue))
                yield letters
                letters.release()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        lock = self._client.lock(keys.LETTERS, timeout=_LOCK_TIMEOUT, blocking_timeout=_PATIENCE)
        with translated():
            # Without the lock the counts may be too low; nothing else can go wrong.
            held = lock.acquire()
        try:
            yield
        finally:
            if held:
                with suppress(redis.RedisError):  # the lock expires
                    lock.release()


class _DeadLetterQueue:
    """Dead letters of one queue, fetched one by one, with the delivery tags that remove them."""

    def __init__(self, channel: BlockingChannel, name: str) -> None:
        self._channel = channel
        self._name = name
        self._left = self._ready()

    def __iter__(self) -> Iterator[tuple[int, DeadLetter]]:
        for _ in range(min(self._left, _MOST_LETTERS)):
            method, properties, body = self._channel.basic_get(self._name)
            if method is None or properties is None or body is None:
                return
            text = body.decode("utf-8", "replace")
            yield (
                int(method.delivery_tag or 0),
                DeadLetter(_letter_id(text), _died_at(properties), text),
            )

    def remove(self, tag: int) -> None:
        self._channel.basic_ack(tag)
        self._left -= 1

    def release(self) -> None:
        """Release the remaining dead letters, and wait until they are visible to other clients."""
        self._channel.basic_nack(0, multiple=True, requeue=True)
        deadline = time.monotonic() + _PATIENCE
        while self._ready() < self._left and time.monotonic() < deadline:
            self._channel.connection.sleep(_PAUSE)

    def _ready(self) -> int:
        return int(self._channel.queue_declare(self._name, passive=True).method.message_count)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ConnectionClosed as error:
        raise BrokerUnavailableError(f"RabbitMQ: {error}") from error
    except AMQPError as error:
        raise BrokerUnavailableError(f"RabbitMQ: {explain(error)}") from error


def _kinds(queue: str) -> tuple[str, str, str]:
    return queue, dq_name(queue), xq_name(queue)


def _letter_id(text: str) -> str:
    try:
        return msgspec.json.decode(text, type=_Named).message_id
    except msgspec.DecodeError:  # not a Dramatiq message
        return hashlib.sha256(text.encode()).hexdigest()


def _died_at(properties: BasicProperties) -> int:
    """Return the time at which a message became a dead letter, in milliseconds since the epoch.

    The time is read from the header :data:`DIED_AT`, or else from RabbitMQ's header ``x-death``.
    Returns 0 if the message has neither.
    """
    headers = properties.headers or {}
    if DIED_AT in headers:
        return int(headers[DIED_AT])
    deaths = headers.get("x-death") or []
    return int(deaths[0]["time"].timestamp() * 1000) if deaths else 0
