"""RabbitMQ connection that all threads of a process share to publish and count messages.

A pika connection belongs to one thread, and the server drops the connection when that thread does
not serve its heartbeats. An API process has hundreds of threads that publish occasionally. Here a
dedicated thread serves the connection. The other threads submit requests to this thread and wait
for a bounded time. Messages published together are confirmed together, at the cost of one round
trip and one disk write.
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

#: Attempts per request. A second one is needed, because a dead connection is noticed only in use.
_TRIES = 2
_PERSISTENT = 2  # AMQP 0-9-1, class basic: delivery-mode

Arguments = Mapping[str, Any]


class Outgoing(NamedTuple):
    """A message to publish to a queue."""

    queue: str
    body: bytes
    headers: Mapping[str, Any] | None = None


class Amqp:
    """RabbitMQ connection that is opened on first use and opened again after a loss.

    Every method that sends a request raises:
        ConnectionClosed: the request did not succeed in time; RabbitMQ may have executed it anyway.

    Args:
        url: ``amqp://`` or ``amqps://`` URL in the syntax of pika's ``URLParameters``.
        timeout: seconds that a request may take.
        heartbeat: seconds of silence after which either side considers the other dead.
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
        """Add a queue to those that are declared on each new connection."""
        self._queues[name] = arguments

    def declare(self) -> None:
        """Declare all queues, in case one was deleted."""
        self._request(lambda session, done: session.declare(done))

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Publish messages and wait until RabbitMQ confirms that all of them are stored."""
        if messages:
            self._request(lambda session, done: session.publish(messages, done))

    def count(self, queues: Sequence[str]) -> list[int]:
        """Return, per queue, the number of messages that no consumer has fetched."""
        found: list[int] = self._request(lambda session, done: session.count(queues, done))
        return found

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.end(ConnectionClosed("the connection to RabbitMQ was closed"))

    def _request(self, request: Callable[["_Session", "Future[Any]"], None]) -> Any:  # noqa: ANN401 - it depends on the request
        deadline = time.monotonic() + self._timeout
        for attempt in range(1, _TRIES + 1):
            session = self._open()
            done: Future[Any] = Future()
            session.submit(partial(request, session, done), done)
            try:
                return done.result(max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                reason = ConnectionClosed(f"RabbitMQ did not respond within {self._timeout:g} s")
                # The second attempt has only the rest of the time. Its timeout therefore does not
                # show that the connection is dead.
                if attempt == 1:
                    session.end(reason)
                raise reason from None
            except ConnectionClosed:
                if attempt == _TRIES:
                    raise
        raise AssertionError

    def _open(self) -> "_Session":
        with self._lock:
            if self._session is None or self._session.end_reason is not None:
                self._session = _Session(self.parameters, dict(self._queues))
            return self._session


class _Session:
    """One open connection, until it is closed or lost.

    Methods run in the thread that serves the connection, unless their docstrings state otherwise.

    Attributes:
        end_reason: why the connection takes no more requests; None while it takes them.
    """

    def __init__(self, parameters: pika.URLParameters, queues: Mapping[str, Arguments]) -> None:
        self.end_reason: ConnectionClosed | None = None
        self._queues = queues
        self._lock = threading.Lock()
        self._open_requests: set[Future[Any]] = set()
        self._early: list[Callable[[], None]] | None = []
        self._published = 0
        self._unconfirmed: dict[int, _Batch] = {}
        self._channel: Channel  # set before any request runs
        self._connection = pika.SelectConnection(
            parameters, self._opened, self._lost, self._lost, internal_connection_workflow=True
        )
        threading.Thread(target=self._serve, name="amqp", daemon=True).start()

    def submit(self, request: Callable[[], None], done: "Future[Any]") -> None:
        """Run a request as soon as the queues are declared. Called from other threads."""
        with self._lock:
            if self.end_reason is None:
                self._open_requests.add(done)
                self._connection.ioloop.add_callback_threadsafe(partial(self._do, request))
                return
        # The connection ended before this request. Its reason says what the operator has to change.
        done.set_exception(self.end_reason)

    def end(self, reason: ConnectionClosed) -> None:
        """Fail all open requests with ``reason``, and close. Called from any thread."""
        with self._lock:
            if self.end_reason is not None:
                return
            self.end_reason = reason
            waiting, self._open_requests = self._open_requests, set()
            self._connection.ioloop.add_callback_threadsafe(self._close)
        for done in waiting:
            if not done.done():
                done.set_exception(reason)

    def publish(self, messages: Sequence[Outgoing], done: "Future[Any]") -> None:
        """Publish messages; ``done`` gets its result when all are confirmed."""
        batch = _Batch(len(messages), partial(self._fulfil, done, None))
        for message in messages:
            properties = pika.BasicProperties(
                delivery_mode=_PERSISTENT, headers=dict(message.headers or {})
            )
            self._channel.basic_publish("", message.queue, message.body, properties, mandatory=True)
            self._published += 1
            self._unconfirmed[self._published] = batch

    def count(self, queues: Sequence[str], done: "Future[Any]") -> None:
        """Count the ready messages of queues; ``done`` gets the counts."""
        counts: list[int] = []

        def add_count(response: "Method[Any]") -> None:
            counts.append(response.method.message_count)
            if len(counts) == len(queues):
                self._fulfil(done, counts)

        for queue in queues:
            self._channel.queue_declare(queue, passive=True, callback=add_count)

    def declare(self, done: "Future[Any]") -> None:
        """Declare the queues; ``done`` gets its result when all are declared."""
        batch = _Batch(len(self._queues), partial(self._fulfil, done, None))
        for queue, arguments in self._queues.items():
            self._channel.queue_declare(
                queue,
                durable=True,
                arguments=dict(arguments),
                callback=lambda _: batch.count_down(),
            )

    def _serve(self) -> None:
        try:
            self._connection.ioloop.start()
        except Exception as error:  # noqa: BLE001 - other threads wait for this one
            self.end(explain(error))
        self.end(ConnectionClosed("the connection to RabbitMQ was lost"))
        self._connection.ioloop.close()

    def _opened(self, connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=self._channel_opened)

    def _channel_opened(self, channel: "Channel") -> None:
        self._channel = channel
        channel.add_on_close_callback(lambda _, reason: self.end(explain(reason)))
        # The queue was deleted; the next connection declares it again.
        channel.add_on_return_callback(
            lambda *returned: self.end(
                ConnectionClosed(f"no such queue: {returned[1].routing_key}")
            )
        )
        channel.confirm_delivery(self._confirmed)
        ready: Future[Any] = Future()
        ready.add_done_callback(self._begin)
        self.declare(ready)

    def _begin(self, _ready: "Future[Any]") -> None:
        early, self._early = self._early or [], None
        for request in early:
            self._do(request)

    def _do(self, request: Callable[[], None]) -> None:
        if self._early is not None:
            self._early.append(request)
            return
        try:
            request()
        except AMQPError as error:
            self.end(explain(error))

    def _confirmed(self, response: "Method[Any]") -> None:
        confirm = response.method
        if isinstance(confirm, spec.Basic.Nack):
            self.end(ConnectionClosed("RabbitMQ rejected the message"))
            return
        last = confirm.delivery_tag
        tags = [tag for tag in self._unconfirmed if tag <= last] if confirm.multiple else [last]
        for tag in tags:
            self._unconfirmed.pop(tag).count_down()

    def _fulfil(self, done: "Future[Any]", result: object) -> None:
        with self._lock:
            self._open_requests.discard(done)
        if not done.done():
            done.set_result(result)

    def _lost(self, _connection: pika.SelectConnection, reason: BaseException) -> None:
        self.end(explain(reason))
        self._connection.ioloop.stop()

    def _close(self) -> None:
        if not (self._connection.is_closing or self._connection.is_closed):
            # If the server does not respond to the close, missing heartbeats end the connection.
            self._connection.close()


class _Batch:
    """Calls ``then`` after ``missing`` responses."""

    def __init__(self, missing: int, then: Callable[[], None]) -> None:
        self._missing = missing
        self._then = then

    def count_down(self) -> None:
        self._missing -= 1
        if not self._missing:
            self._then()
