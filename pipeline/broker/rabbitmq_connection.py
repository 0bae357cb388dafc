"""One connection to RabbitMQ for all threads of a process: messages are sent, queues are counted.

A connection of pika's belongs to one thread, and the server drops it when that thread does not
answer heartbeats. An API process has hundreds of threads that send now and then; here one thread
does nothing but serve the connection, and the others hand it their wishes and wait for a bounded
time. Messages sent together are confirmed together, for one round trip and one write to the disk.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pika
from dramatiq import ConnectionClosed
from pika import spec
from pika.exceptions import AMQPError

from pipeline.broker.rabbitmq_errors import explain

if TYPE_CHECKING:
    from pika.channel import Channel
    from pika.frame import Method

#: Times that a wish is made: the connection may have been dead, which is found out by using it.
_TRIES = 2
_PERSISTENT = 2  # AMQP 0-9-1, class basic: delivery-mode

Arguments = Mapping[str, Any]


class Outgoing(NamedTuple):
    """A message to be sent to a queue."""

    queue: str
    body: bytes
    headers: Mapping[str, Any] | None = None


class Amqp:
    """The connection, made when it is needed, and made again when it was lost.

    Every method raises:
        ConnectionClosed: RabbitMQ did not do it in time; it may still have.

    Args:
        url: ``amqp://`` or ``amqps://``, as pika's ``URLParameters`` reads it.
        timeout: seconds that a wish may take.
        heartbeat: seconds of silence after which either side counts the other as dead.
    """

    def __init__(self, url: str, *, timeout: float, heartbeat: int) -> None:
        self.parameters = pika.URLParameters(url)
        self.parameters.heartbeat = heartbeat
        self.parameters.socket_timeout = self.parameters.stack_timeout = timeout
        self.parameters.blocked_connection_timeout = timeout
        self._timeout = timeout
        self._queues: dict[str, Arguments] = {}
        self._lock = threading.Lock()
        self._session: _Session | None = None

    def add_queue(self, name: str, arguments: Arguments) -> None:
        """Have a queue declared whenever a connection is made."""
        self._queues[name] = arguments

    def declare(self) -> None:
        """Declare all queues, should one have been deleted."""
        self._ask(lambda session, done: session.declare(done))

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Send messages, and wait until RabbitMQ has confirmed that it keeps them all."""
        if messages:
            self._ask(lambda session, done: session.publish(messages, done))

    def count(self, queues: Sequence[str]) -> list[int]:
        """Return how many messages of each queue no consumer has fetched."""
        found: list[int] = self._ask(lambda session, done: session.count(queues, done))
        return found

    def close(self) -> None:
        """Close the connection; the next wish makes a new one."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.end(ConnectionClosed("closed"))

    def _ask(self, wish: Callable[["_Session", "Future[Any]"], None]) -> Any:  # noqa: ANN401 - each wish has its own
        deadline = time.monotonic() + self._timeout
        for tried in range(1, _TRIES + 1):
            session = self._open()
            done: Future[Any] = Future()
            session.take(partial(wish, session, done), done)
            try:
                return done.result(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                reason = ConnectionClosed(f"RabbitMQ did not answer within {self._timeout:g} s")
                # Of the second try little may be left: too little to say that nobody is served.
                if tried == 1:
                    session.end(reason)
                raise reason from None
            except ConnectionClosed:
                if tried == _TRIES:
                    raise
        raise AssertionError

    def _open(self) -> "_Session":
        with self._lock:
            if self._session is None or self._session.ended:
                self._session = _Session(self.parameters, dict(self._queues))
            return self._session


class _Session:
    """One connection's life. What is not said to be for others is called in its own thread.

    Attributes:
        ended: it takes no more wishes.
    """

    def __init__(self, parameters: pika.URLParameters, queues: Mapping[str, Arguments]) -> None:
        self.ended = False
        self._queues = queues
        self._lock = threading.Lock()
        self._open_wishes: set[Future[Any]] = set()
        self._early: list[Callable[[], None]] | None = []
        self._published = 0
        self._unconfirmed: dict[int, _Batch] = {}
        self._channel: Channel  # is there before a wish is granted
        self._connection = pika.SelectConnection(
            parameters, self._opened, self._lost, self._lost, internal_connection_workflow=True
        )
        threading.Thread(target=self._serve, name="amqp", daemon=True).start()

    def take(self, wish: Callable[[], None], done: "Future[Any]") -> None:
        """Do something as soon as the queues are declared; for other threads."""
        with self._lock:
            if not self.ended:
                self._open_wishes.add(done)
                self._connection.ioloop.add_callback_threadsafe(partial(self._do, wish))
                return
        done.set_exception(ConnectionClosed("the connection to RabbitMQ was lost"))

    def end(self, reason: ConnectionClosed) -> None:
        """Tell all who wait that nothing comes any more, and close; for all threads."""
        with self._lock:
            if self.ended:
                return
            self.ended = True
            waiting, self._open_wishes = self._open_wishes, set()
            self._connection.ioloop.add_callback_threadsafe(self._close)
        for done in waiting:
            if not done.done():
                done.set_exception(reason)

    def publish(self, messages: Sequence[Outgoing], done: "Future[Any]") -> None:
        """Send messages."""
        batch = _Batch(len(messages), partial(self._fulfil, done, None))
        for message in messages:
            properties = pika.BasicProperties(
                delivery_mode=_PERSISTENT, headers=dict(message.headers or {})
            )
            self._channel.basic_publish("", message.queue, message.body, properties, mandatory=True)
            self._published += 1
            self._unconfirmed[self._published] = batch

    def count(self, queues: Sequence[str], done: "Future[Any]") -> None:
        """Count what is ready in queues."""
        counts: list[int] = []

        def told(answer: "Method[Any]") -> None:
            counts.append(answer.method.message_count)
            if len(counts) == len(queues):
                self._fulfil(done, counts)

        for queue in queues:
            self._channel.queue_declare(queue, passive=True, callback=told)

    def declare(self, done: "Future[Any]") -> None:
        """Declare the queues."""
        batch = _Batch(len(self._queues), partial(self._fulfil, done, None))
        for queue, arguments in self._queues.items():
            self._channel.queue_declare(
                queue, durable=True, arguments=dict(arguments), callback=lambda _: batch.one_less()
            )

    def _serve(self) -> None:
        try:
            self._connection.ioloop.start()
        except Exception as error:  # noqa: BLE001 - whatever it was, others wait for this thread
            self.end(explain(error))
        self.end(ConnectionClosed("the connection to RabbitMQ was lost"))
        self._connection.ioloop.close()

    def _opened(self, connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: "Channel") -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _, reason: self.end(explain(reason)))
        # A queue that was there is gone: the next connection declares it.
        channel.add_on_return_callback(
            lambda *returned: self.end(ConnectionClosed(f"no queue {returned[1].routing_key}"))
        )
        channel.confirm_delivery(self._confirmed)
        ready: Future[Any] = Future()
        ready.add_done_callback(self._begin)
        self.declare(ready)

    def _begin(self, _ready: "Future[Any]") -> None:
        early, self._early = self._early or [], None
        for wish in early:
            self._do(wish)

    def _do(self, wish: Callable[[], None]) -> None:
        if self._early is not None:
            self._early.append(wish)
            return
        try:
            wish()
        except AMQPError as error:
            self.end(explain(error))

    def _confirmed(self, answer: "Method[Any]") -> None:
        told = answer.method
        if isinstance(told, spec.Basic.Nack):
            self.end(ConnectionClosed("RabbitMQ does not take the message"))
            return
        last = told.delivery_tag
        tags = [tag for tag in self._unconfirmed if tag <= last] if told.multiple else [last]
        for tag in tags:
            self._unconfirmed.pop(tag).one_less()

    def _fulfil(self, done: "Future[Any]", result: object) -> None:
        with self._lock:
            self._open_wishes.discard(done)
        if not done.done():
            done.set_result(result)

    def _lost(self, _connection: pika.SelectConnection, reason: BaseException) -> None:
        self.end(explain(reason))
        self._connection.ioloop.stop()

    def _close(self) -> None:
        if not (self._connection.is_closing or self._connection.is_closed):
            # Where the server does not answer this either, missing heartbeats end it.
            self._connection.close()


class _Batch:
    """Calls ``then`` when so many answers have come."""

    def __init__(self, missing: int, then: Callable[[], None]) -> None:
        self._missing = missing
        self._then = then

    def one_less(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._then()
