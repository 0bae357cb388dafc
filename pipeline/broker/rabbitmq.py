"""RabbitMQ as Dramatiq's broker: quorum queues, confirmed messages, dead letters with reasons.

A quorum queue is RabbitMQ's only replicated queue (mirrored ones are gone in 4.0). Dramatiq's
broker declares classic ones, so the arguments of the three queues are given here: the queue itself,
``.DQ`` for what is tried again later, ``.XQ`` for dead letters. On one server they are durable too.
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

#: Header of a dead letter: when it became one, in milliseconds since the epoch.
DIED_AT = "x-qrmill-died-at"
_QUORUM: Arguments = {
    "x-queue-type": "quorum",
    # From 4.0 on RabbitMQ drops what came back 20 times. The ledger counts, and gives up sooner;
    # and a dead letter comes back whenever somebody has looked at it.
    "x-delivery-limit": 2**31 - 1,
}


class RabbitBroker(RabbitmqBroker):
    """Dramatiq's broker over a connection that all threads share.

    Attributes:
        amqp: that connection; consumers have their own.
        heartbeat: the signs of life of this process, should it be a worker.
        pending: messages that are held back to be sent together; None when none are.
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
        """Take how many milliseconds dead letters are kept, beside what the class names."""
        super().__init__(middleware=middleware)
        self.amqp = amqp
        self.parameters = amqp.parameters  # type: ignore[assignment] # as where it is given one URL
        self.heartbeat = heartbeat
        self._dead_message_ttl = dead_message_ttl
        self.add_middleware(heartbeat)

    @property
    def broker_id(self) -> str:
        """The name of this process as a worker, as Dramatiq's Redis broker has one."""
        return self.heartbeat.name

    @broker_id.setter
    def broker_id(self, name: str) -> None:
        self.heartbeat.name = name

    def declare_queue(self, queue_name: str, *, ensure: bool = False) -> None:
        """Add a queue; it is declared with the next connection, or now."""
        name = q_name(queue_name)
        to_dead_letters = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": xq_name(name)}
        self.amqp.add_queue(name, {**_QUORUM, **to_dead_letters})
        self.amqp.add_queue(dq_name(name), {**_QUORUM, **to_dead_letters})
        self.amqp.add_queue(xq_name(name), {**_QUORUM, "x-message-ttl": self._dead_message_ttl})
        super().declare_queue(queue_name)
        if ensure:
            self.amqp.declare()

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send a message, and wait until RabbitMQ has confirmed that it keeps it.

        Args:
            message: names its queue.
            delay: milliseconds from now.

        Raises:
            ConnectionClosed: RabbitMQ is out of reach.
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
        """Give a broker whose messages are sent at the end of the block, in one go.

        When this raises, some messages may have been sent.
        """
        batch = copy.copy(self)
        batch.pending = []
        yield batch
        self.amqp.publish(batch.pending)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> "RabbitConsumer":
        """Return a consumer to which messages are pushed; a deleted queue is there again."""
        self.amqp.declare()
        return RabbitConsumer(self, queue_name, prefetch, timeout)

    def close(self) -> None:
        """Close the connection."""
        super().close()
        self.amqp.close()


class RabbitConsumer(_RabbitmqConsumer):
    """A consumer that shows that it lives, and lets dead letters tell of their last try."""

    def __init__(self, broker: RabbitBroker, queue_name: str, prefetch: int, timeout: int) -> None:
        with _explained():
            super().__init__(broker, queue_name, prefetch, timeout)  # type: ignore[no-untyped-call]
        self._amqp, self._heartbeat = broker.amqp, broker.heartbeat

    def __next__(self) -> MessageProxy | None:
        with _explained():
            message: MessageProxy | None = super().__next__()  # type: ignore[no-untyped-call]
        if message is not None:
            message.consumer = self  # type: ignore[attr-defined] # Dramatiq lets one add to it
        self._heartbeat.note_poll(self.queue_name, len(self.known_tags))
        return message

    def ack(self, message: MessageProxy) -> None:
        """Acknowledge a message."""
        if self._delivered(message):
            super().ack(message)  # type: ignore[no-untyped-call]

    def nack(self, message: MessageProxy) -> None:
        """Make a message a dead letter as it stands now; RabbitMQ would keep it as it was sent."""
        if not self._delivered(message):
            return
        letter = Outgoing(
            xq_name(q_name(self.queue_name)),
            encode_dead_letter(message),
            {DIED_AT: current_millis()},
        )
        try:
            self._amqp.publish([letter])
        except ConnectionClosed:
            # Nobody knows what becomes of it: it may come again, or RabbitMQ itself keeps it, under
            # the id that it was sent with.
            super().nack(message)  # type: ignore[no-untyped-call]
        else:
            message.buried = True  # type: ignore[attr-defined] # as above
            with suppress(ConnectionClosed):  # it comes again, and is known as what it is
                super().ack(message)  # type: ignore[no-untyped-call]

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Do nothing: what is not acknowledged comes back when the connection is closed."""

    def close(self) -> None:
        """Close the connection, also where RabbitMQ has closed the channel before."""
        try:
            super().close()  # type: ignore[no-untyped-call]
        finally:
            with suppress(AMQPError):
                self.connection.close()

    def _delivered(self, message: MessageProxy) -> bool:
        # Tags are counted anew in each connection: after a loss, the tag of a message that is going
        # to be delivered again may be another's.
        return getattr(message, "consumer", self) is self


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ConnectionClosed as error:
        raise explain(error) from None
