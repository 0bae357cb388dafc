"""The queues where RabbitMQ is the broker: what AMQP tells of them, and what the ledger adds.

AMQP says how many messages of a queue no consumer has fetched, and gives dead letters out to
whoever asks. It says neither how many are fetched (workers tell that with their signs of life,
:mod:`pipeline.heartbeats`) nor how long one has waited: for that, the ledger has since when there
is work that nobody has begun. RabbitMQ's management plugin is not needed.

A dead letter that is put back is sent before it is removed, so that it may be there twice when this
breaks off between, and is never lost.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec
import pika
from dramatiq import ConnectionClosed
from dramatiq.common import dq_name, xq_name
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError
from pika.spec import BasicProperties

from pipeline.amqp import Amqp, Outgoing
from pipeline.broker import ALL_QUEUES, BrokerUnavailableError
from pipeline.heartbeats import Heartbeats
from pipeline.queues import Letter, QueueState, age, renewed
from pipeline.rabbit_broker import DIED_AT
from pipeline.unbegun import Unbegun

#: Dead letters of a queue that are looked through; the oldest come first.
_MOST_LETTERS = 10_000


class _Fetched(NamedTuple):
    tag: int
    letter: Letter


class _Named(msgspec.Struct):
    message_id: str


class RabbitQueues:
    """The queues of one RabbitMQ.

    Args:
        amqp: on which they are declared.
        heartbeats: of the workers.
        unbegun: since when work waits, by the ledger.
    """

    def __init__(self, amqp: Amqp, heartbeats: Heartbeats, unbegun: Unbegun) -> None:
        self._amqp = amqp
        self._heartbeats = heartbeats
        self._unbegun = unbegun

    def ping(self) -> None:
        """See whether RabbitMQ answers, and has the queues."""
        self._count(*ALL_QUEUES)

    def read(self) -> list[QueueState]:
        """Return the state of every queue."""
        ready = self._count(*(kind for queue in ALL_QUEUES for kind in _kinds(queue)))
        held = self._heartbeats.held()
        since = self._unbegun.since() if any(ready[queue] for queue in ALL_QUEUES) else {}
        return [
            QueueState(
                name=queue,
                waiting=ready[queue],
                in_progress=held[queue],
                delayed=ready[dq_name(queue)] + held[dq_name(queue)],
                dead=ready[xq_name(queue)],
                oldest_waiting=age(since.get(queue)) if ready[queue] else 0.0,
                oldest_dead=age(self._oldest_death(queue)) if ready[xq_name(queue)] else 0.0,
            )
            for queue in ALL_QUEUES
        ]

    def size(self, *queues: str) -> int:
        """Return how many messages are still to be done."""
        names = [name for queue in queues for name in (queue, dq_name(queue))]
        held = self._heartbeats.held()
        return sum(self._count(*names).values()) + sum(held[name] for name in names)

    def letters(self, queue: str, limit: int) -> list[Letter]:
        """Return the newest dead letters; all of them are fetched for that, and given back."""
        with self._fetching(queue) as (_, fetched):
            newest = deque((each.letter for each in fetched), maxlen=limit)
        return sorted(newest, key=lambda letter: letter.died_at, reverse=True)

    def put_back(self, queue: str, letter_ids: list[str]) -> int:
        """Put letters back: each is sent, and removed when that is confirmed."""

        def send(letter: Letter) -> bool:
            message = renewed(letter.text)
            if message is not None:
                self._amqp.publish([Outgoing(queue, message.encode())])
            return message is not None

        return self._take(queue, letter_ids, send)

    def discard(self, queue: str, letter_ids: list[str]) -> int:
        """Remove letters."""
        return self._take(queue, letter_ids, lambda _: True)

    def annotate(self, queue: str, options: dict[str, Any], message: bytes) -> None:
        """Do nothing: the consumer has sent the dead letter as it stands after the last try."""

    def _take(self, queue: str, letter_ids: list[str], act: Callable[[Letter], bool]) -> int:
        wanted, taken = {*letter_ids}, set()
        if not wanted:
            return 0
        with self._fetching(queue) as (channel, fetched):
            for tag, letter in fetched:
                # A second copy of one that was taken goes with it.
                if letter.letter_id in taken or (letter.letter_id in wanted and act(letter)):
                    channel.basic_ack(tag)
                    taken.add(letter.letter_id)
        return len(taken)

    def _oldest_death(self, queue: str) -> int | None:
        with self._fetching(queue) as (_, fetched):
            first = next(fetched, None)
        return first.letter.died_at or None if first else None

    def _count(self, *queues: str) -> dict[str, int]:
        with _translated():
            return dict(zip(queues, self._amqp.count(queues), strict=True))

    @contextmanager
    def _fetching(self, queue: str) -> Iterator[tuple[BlockingChannel, Iterator[_Fetched]]]:
        """Fetch dead letters, the oldest first; those that are not acknowledged are given back."""
        name = xq_name(queue)
        with _translated():
            self._amqp.declare()
            with pika.BlockingConnection(self._amqp.parameters) as connection:
                channel = connection.channel()
                yield channel, _fetched(channel, name)
                channel.basic_nack(0, multiple=True, requeue=True)
                channel.queue_declare(name, passive=True)  # answered when that is done


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (AMQPError, ConnectionClosed) as error:
        reason = str(error) or type(error).__name__
        raise BrokerUnavailableError(f"RabbitMQ: {reason}") from error


def _kinds(queue: str) -> tuple[str, str, str]:
    return queue, dq_name(queue), xq_name(queue)


def _fetched(channel: BlockingChannel, name: str) -> Iterator[_Fetched]:
    for _ in range(_MOST_LETTERS):
        method, properties, body = channel.basic_get(name)
        if method is None or properties is None or body is None:
            return
        text = body.decode("utf-8", "replace")
        letter = Letter(_letter_id(text), _died_at(properties), text)
        yield _Fetched(int(method.delivery_tag or 0), letter)


def _letter_id(text: str) -> str:
    try:
        return msgspec.json.decode(text, type=_Named).message_id
    except msgspec.DecodeError:  # not a message of ours
        return hashlib.sha256(text.encode()).hexdigest()


def _died_at(properties: BasicProperties) -> int:
    """Return when, by the consumer that gave it up, or by RabbitMQ's own ``x-death``; else 0."""
    headers = properties.headers or {}
    if DIED_AT in headers:
        return int(headers[DIED_AT])
    deaths = headers.get("x-death") or []
    return int(deaths[0]["time"].timestamp() * 1000) if deaths else 0
