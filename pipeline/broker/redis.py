"""Waking idle consumers at once when a message comes.

Dramatiq's Redis consumer that finds nothing, or whose worker threads have enough, sleeps up to
``dramatiq_worker_timeout`` before it looks again; a job would meet that twice. Here whoever
enqueues a message says so on a channel, one thread a worker process listens, and the consumers
wait for that instead. Should a word get lost, they look by themselves after the same time-out.

Dramatiq's consumer also takes an answer that does not come in time for a defect and not for a lost
connection: a message is not acknowledged, the thread of delayed messages may end, and what Redis
had handed out with that answer is nobody's until the worker ends. Here it is a lost connection, and
whoever begins to consume puts back what was handed out and never came.
"""

import copy
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import dramatiq
import redis
import structlog
from dramatiq import Broker, MessageProxy
from dramatiq.brokers.redis import RedisBroker, _RedisConsumer
from dramatiq.common import q_name
from dramatiq.errors import ConnectionClosed
from dramatiq.middleware import Middleware

from pipeline.ledger import keys
from pipeline.ledger.pubsub import Subscriber

log = structlog.get_logger(__name__)

#: Milliseconds of Dramatiq's own sleep, which the wait for a word replaces.
_NO_SLEEP = 1


class EnqueueNotifier(Middleware):
    """Says that a message was enqueued, and in a worker wakes the consumers of its queue.

    Args:
        client: undecoded.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._events: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self._listener = Subscriber(client, keys.ENQUEUED, self._wake, self._wake_all)

    def event(self, queue: str) -> threading.Event:
        """Return what is set when a consumer of ``queue`` should look for messages."""
        return self._events[queue]

    def after_enqueue(
        self,
        broker: Broker,
        message: dramatiq.Message[object],
        delay: int | None,
    ) -> None:
        """Say that there is a message; one that is delayed can wait."""
        if delay is not None:
            return
        if isinstance(broker, WakingBroker) and broker.pending is not None:
            broker.pending.add(message.queue_name)
        else:
            self.notify(message.queue_name)

    def notify(self, queue: str) -> None:
        """Say that there are messages in ``queue``."""
        try:
            self._client.publish(keys.ENQUEUED, queue)
        except redis.RedisError as error:  # the message is there; it will be found
            log.warning("worker not notified", reason=f"{type(error).__name__}: {error}")

    def before_worker_boot(self, broker: Broker, worker: dramatiq.Worker) -> None:
        """Begin to listen."""
        self._listener.start()

    def before_worker_shutdown(self, broker: Broker, worker: dramatiq.Worker) -> None:
        """Stop listening."""
        self._listener.stop()

    def _wake(self, queue: str) -> None:
        self.event(queue).set()

    def _wake_all(self) -> None:
        for event in [*self._events.values()]:
            event.set()


class WakingBroker(RedisBroker):
    """A Redis broker whose consumers are woken.

    Attributes:
        pending: queues of the messages that are held back to be sent together; None when none are.
    """

    pending: set[str] | None = None

    def __init__(self, notifier: EnqueueNotifier, **options: object) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call] # Dramatiq has no types here
        self._notifier = notifier
        self._unacked: defaultdict[str, set[str]] = defaultdict(set)
        self.add_middleware(notifier)

    @contextmanager
    def batch(self) -> Iterator["WakingBroker"]:
        """Give a broker whose messages are sent at the end of the block, in one go.

        One by one each message would cost two round trips, and the first would wake workers that
        compete with the sender of the others. When this raises, some messages may have been sent.
        """
        batch = copy.copy(self)
        batch.pending = set()
        with self.client.pipeline(transaction=False) as pipe:
            dispatch = partial(self.scripts["dispatch"], client=pipe)
            batch.scripts = {**self.scripts, "dispatch": dispatch}
            yield batch
            pipe.execute()
        for queue in batch.pending:
            self._notifier.notify(queue)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> "WakingConsumer":
        """Return a consumer that looks when it is woken, or after ``timeout`` milliseconds.

        Raises:
            ConnectionClosed: Redis is out of reach.
        """
        unacked = self._unacked[queue_name]
        if queue_name != q_name(queue_name):
            unacked.clear()  # Dramatiq drops what it held of delayed ones with the consumer before
        event = self._notifier.event(queue_name)
        consumer = WakingConsumer(self, queue_name, prefetch, timeout, event=event, unacked=unacked)
        consumer.requeue_lost()
        return consumer


class WakingConsumer(_RedisConsumer):
    """A consumer that waits for a word where Dramatiq's sleeps.

    Its methods raise:
        ConnectionClosed: Redis is out of reach.

    Args:
        broker, queue_name, prefetch, timeout: as Dramatiq's has them.
        event: set when it should look.
        unacked: ids in Redis of the messages that it has handed out and that were not acknowledged;
            shared with the consumers of the queue before it and after it.
    """

    def __init__(
        self,
        broker: RedisBroker,
        queue_name: str,
        prefetch: int,
        timeout: int,
        *,
        event: threading.Event,
        unacked: set[str],
    ) -> None:
        super().__init__(broker, queue_name, prefetch, _NO_SLEEP)  # type: ignore[no-untyped-call]
        self._idle = timeout / 1000
        self._event = event
        self._unacked = unacked

    def __next__(self) -> MessageProxy | None:
        with _connection_lost():
            message: MessageProxy | None = super().__next__()  # type: ignore[no-untyped-call]
        if message is None:
            self._event.wait(self._idle)
            self._event.clear()
        else:
            self._unacked.add(message.options["redis_message_id"])
        return message

    def ack(self, message: MessageProxy) -> None:
        """Acknowledge a message: there is room for another."""
        with _connection_lost():
            super().ack(message)  # type: ignore[no-untyped-call]
        self._done(message)

    def nack(self, message: MessageProxy) -> None:
        """Make a message a dead letter: there is room for another."""
        with _connection_lost():
            super().nack(message)  # type: ignore[no-untyped-call]
        self._done(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Put messages back that were fetched and not begun."""
        with _connection_lost():
            super().requeue(messages)  # type: ignore[no-untyped-call]

    def requeue_lost(self) -> None:
        """Put back what Redis has handed to this worker and what never came here."""
        broker = self.broker
        with _connection_lost():
            fetched = broker.client.smembers(keys.fetched(broker.broker_id, self.queue_name))
            lost = {each.decode() for each in fetched} - self._unacked
            if lost:
                broker.do_requeue(self.queue_name, *lost)
                log.warning("messages requeued", queue=self.queue_name, count=len(lost))

    def _done(self, message: MessageProxy) -> None:
        self._unacked.discard(message.options["redis_message_id"])
        self._event.set()


@contextmanager
def _connection_lost() -> Iterator[None]:
    """Turn what redis-py raises when Redis is away into what Dramatiq goes on after."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ConnectionClosed(error) from None
