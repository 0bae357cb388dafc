"""RabbitMQ broker for Dramatiq: quorum queues, publisher confirms, dead letters with errors.

Quorum queues are the only replicated queues of RabbitMQ (4.0 removed mirrored queues). Dramatiq's
broker declares classic queues. This module therefore declares the three queues of each name itself:
the queue, ``.DQ`` for delayed messages and ``.XQ`` for dead letters. Quorum queues are also durable
on a single server.
"""

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from dramatiq import ConnectionClosed, Message, MessageProxy
from dramatiq.brokers.rabbitmq import RabbitmqBroker, _RabbitmqConsumer
from dramatiq.common import current_millis, dq_name, q_name, xq_name
from dramatiq.middleware import Middleware
from pika.exceptions import AMQPError

from pipeline.broker.heartbeats import HeartbeatMiddleware
from pipeline.broker.inspection import encode_dead_letter
from pipeline.broker.rabbitmq_connection import Amqp, Arguments, Outgoing
from pipeline.broker.rabbitmq_errors import explain

log = structlog.get_logger(__name__)

#: Header with the time at which a message became a dead letter, in milliseconds since the epoch.
DIED_AT = "x-qrmill-died-at"
_QUORUM: Arguments = {
    "x-queue-type": "quorum",
    # By default, RabbitMQ 4.0 and later drops a message after 20 returns to its queue. The limit is
    # not needed, because the ledger counts deliveries and gives up sooner. It would also lose dead
    # letters, which return to their queue each time they are read.
    "x-delivery-limit": 2**31 - 1,
}


class RabbitBroker(RabbitmqBroker):
    """Dramatiq's RabbitMQ broker on one connection that all threads share.

    Args:
        amqp: the shared connection.
        heartbeat: writes the heartbeats of this process if it is a worker.
        middleware: the middleware, without ``heartbeat``.
        dead_message_ttl: lifetime of dead letters, in milliseconds.

    Attributes:
        amqp: the shared connection; each consumer has its own connection.
        heartbeat: writes the heartbeats of this process if it is a worker.
        prefetch_limits: largest number of fetched messages of some queues.
        pending: messages that :meth:`batch` has collected; None outside a batch.
    """

    pending: list[Outgoing] | None = None

    def __init__(
        self,
        amqp: Amqp,
        heartbeat: HeartbeatMiddleware,
        *,
        middleware: list[Middleware],
        dead_message_ttl: int,
    ) -> None:
        super().__init__(middleware=middleware)
        self.amqp = amqp
        self.parameters = amqp.parameters  # type: ignore[assignment] # as if given one URL
        self.heartbeat = heartbeat
        self.prefetch_limits: dict[str, int] = {}
        self._dead_message_ttl = dead_message_ttl
        self.add_middleware(heartbeat)

    @property
    def broker_id(self) -> str:
        """Name of this worker process, like the ``broker_id`` of Dramatiq's Redis broker."""
        return self.heartbeat.name

    @broker_id.setter
    def broker_id(self, name: str) -> None:
        self.heartbeat.name = name

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """Add a queue, which is declared with the next connection, or now if ``ensure`` is set."""
        name = q_name(queue_name)
        to_dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": xq_name(name)}
        self.amqp.add_queue(name, {**_QUORUM, **to_dead_letters})
        self.amqp.add_queue(dq_name(name), {**_QUORUM, **to_dead_letters})
        self.amqp.add_queue(xq_name(name), {**_QUORUM, "x-message-ttl": self._dead_message_ttl})
        super().declare_queue(queue_name)
        if ensure:
            self.amqp.declare()

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send a message and wait until RabbitMQ confirms that it is stored.

        In a batch the message is only collected.

        Args:
            message: the message, which names its queue.
            delay: milliseconds until the message is delivered.

        Raises:
            ConnectionClosed: RabbitMQ is unreachable.
        """
        queue = message.queue_name
        if delay is not None:
            queue = dq_name(queue)
            message = message.copy(queue_name=queue, options={"eta": current_millis() + delay})
        self.emit_before("enqueue", message, delay)
        outgoing = Outgoing(queue, message.encode())
        if self.pending is None:
            self.amqp.publish([outgoing])
        else:
            self.pending.append(outgoing)
        self.emit_after("enqueue", message, delay)
        return message

    @contextmanager
    def batch(self) -> Iterator["RabbitBroker"]:
        """Yield a broker that sends its messages together at the end of the block.

        If sending fails, some of the messages may have been sent.
        """
        batch = copy.copy(self)
        batch.pending = []
        yield batch
        self.amqp.publish(batch.pending)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> "RabbitConsumer":
        """Declare all queues, and return a consumer to which RabbitMQ pushes messages."""
        self.amqp.declare()
        prefetch = min(prefetch, self.prefetch_limits.get(queue_name, prefetch))
        return RabbitConsumer(self, queue_name, prefetch, timeout)

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self.amqp.close()


class RabbitConsumer(_RabbitmqConsumer):
    """Consumer that reports its polls, and adds the last attempt's error to dead letters."""

    def __init__(self, broker: RabbitBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        with _explained():
            super().__init__(broker, queue_name, prefetch, timeout)  # type: ignore[no-untyped-call]
        self._amqp, self._heartbeat = broker.amqp, broker.heartbeat

    def __next__(self) -> MessageProxy | None:
        with _explained():
            message: MessageProxy | None = super().__next__()  # type: ignore[no-untyped-call]
        if message is not None:
            message.consumer = self  # type: ignore[attr-defined] # Dramatiq allows extra attributes
        self._heartbeat.note_poll(self.queue_name, len(self.known_tags))
        return message

    def ack(self, message: MessageProxy) -> None:
        """Acknowledge a message."""
        if self._is_current(message):
            super().ack(message)  # type: ignore[no-untyped-call]

    def nack(self, message: MessageProxy) -> None:
        """Publish a message as a dead letter with its error.

        RabbitMQ's own dead-lettering would store the message as it was sent.
        """
        if not self._is_current(message):
            return
        letter = Outgoing(
            xq_name(q_name(self.queue_name)),
            encode_dead_letter(message),
            {DIED_AT: current_millis()},
        )
        try:
            self._amqp.publish([letter])
        except ConnectionClosed:
            # The outcome is unknown: either the message is delivered again, or RabbitMQ itself
            # stores it as a dead letter, with the id that it was sent with.
            super().nack(message)  # type: ignore[no-untyped-call]
        else:
            message.buried = True  # type: ignore[attr-defined] # Dramatiq allows it
            # If RabbitMQ delivers the message again, the ledger ignores the copy by its old id.
            with suppress(ConnectionClosed):
                super().ack(message)  # type: ignore[no-untyped-call]

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Do nothing: RabbitMQ requeues unacknowledged messages when the connection closes."""

    def close(self) -> None:
        """Close the connection, even if RabbitMQ has already closed the channel."""
        try:
            super().close()  # type: ignore[no-untyped-call]
        finally:
            with suppress(AMQPError):
                self.connection.close()

    def _is_current(self, message: MessageProxy) -> bool:
        # Delivery tags restart with each connection. After a lost connection, the old tag of a
        # message that RabbitMQ delivers again may belong to another message.
        return getattr(message, "consumer", self) is self


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ConnectionClosed as error:
        raise explain(error) from None
