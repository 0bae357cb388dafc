"""Redis broker that wakes idle consumers as soon as a message is enqueued.

Dramatiq's Redis consumer polls. When it finds no message, or when its worker threads are saturated,
it sleeps for up to ``dramatiq_worker_timeout`` before the next poll. This would delay each job
twice. Here the process that enqueues a message publishes the queue's name on a Redis channel. In
each worker process one thread subscribes to the channel, and the consumers wait for its signal
instead of sleeping. If a notification is lost, a consumer polls after the same timeout.

Dramatiq's consumer also treats a response that exceeds the timeout as a defect and not as a lost
connection. As a result a message is not acknowledged, the thread of delayed messages may end, and
the messages in the lost response stay assigned to the worker until it ends. Here such a timeout is
a lost connection, and each new consumer requeues the messages that were assigned and never arrived.
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

from pipeline.broker.lanes import ConsumerNotes
from pipeline.ledger import keys
from pipeline.ledger.pubsub import Subscriber

log = structlog.get_logger(__name__)

#: Milliseconds that Dramatiq's consumer sleeps; as short as possible, because ``WakingConsumer``
#: waits for a notification instead.
_NO_SLEEP = 1


class EnqueueNotifier(Middleware):
    """Announces each enqueued message, and in a worker wakes the consumers of its queue.

    Args:
        client: Redis client that does not decode responses.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._events: defaultdict[str, threading.Event] = defaultdict(threading.Event)
        self._subscriber = Subscriber(client, keys.ENQUEUED, self._wake, self._wake_all)

    def event(self, queue: str) -> threading.Event:
        """Return the event that is set when a consumer of ``queue`` should poll."""
        return self._events[queue]

    def after_enqueue(
        self,
        broker: Broker,
        message: dramatiq.Message[object],
        delay: int | None,
    ) -> None:
        """Announce a message, unless it is delayed."""
        if delay is not None:
            return
        if isinstance(broker, WakingBroker) and broker.pending is not None:
            broker.pending.add(message.queue_name)
        else:
            self.notify(message.queue_name)

    def notify(self, queue: str) -> None:
        """Announce that there are messages in ``queue``."""
        try:
            self._client.publish(keys.ENQUEUED, queue)
        except redis.RedisError as error:  # the message is enqueued, and a consumer will poll
            log.warning("worker not notified", reason=f"{type(error).__name__}: {error}")

    def before_worker_boot(self, broker: Broker, worker: dramatiq.Worker) -> None:
        """Start the subscriber."""
        self._subscriber.start()

    def before_worker_shutdown(self, broker: Broker, worker: dramatiq.Worker) -> None:
        """Stop the subscriber."""
        self._subscriber.stop()

    def _wake(self, queue: str) -> None:
        self.event(queue).set()

    def _wake_all(self) -> None:
        for event in [*self._events.values()]:
            event.set()


class WakingBroker(RedisBroker):
    """Redis broker whose consumers are woken by notifications.

    Attributes:
        pending: queues of the messages that :meth:`batch` has collected; None outside a batch.
        notes: notes which queues the consumers read.
        prefetch_limits: largest number of fetched messages of some queues.
    """

    pending: set[str] | None = None

    def __init__(self, notifier: EnqueueNotifier, notes: ConsumerNotes, **options: object) -> None:
        super().__init__(**options)  # type: ignore[no-untyped-call] # Dramatiq has no types here
        self._notifier = notifier
        self.notes = notes
        self.prefetch_limits: dict[str, int] = {}
        self._unacked: defaultdict[str, set[str]] = defaultdict(set)
        self.add_middleware(notifier)

    @contextmanager
    def batch(self) -> Iterator["WakingBroker"]:
        """Yield a broker that sends its messages together at the end of the block.

        If messages were sent one by one, each would cost two round trips. The first would also wake
        workers, which would compete with this process while it sends the others. If sending fails,
        some of the messages may have been sent.
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
        """Return a consumer that polls when it is woken, or after ``timeout`` milliseconds.

        Raises:
            ConnectionClosed: Redis is unreachable.
        """
        unacked = self._unacked[queue_name]
        if queue_name != q_name(queue_name):
            # Dramatiq drops the delayed messages in memory together with their consumer.
            unacked.clear()
        event = self._notifier.event(queue_name)
        prefetch = min(prefetch, self.prefetch_limits.get(queue_name, prefetch))
        consumer = WakingConsumer(self, queue_name, prefetch, timeout, event=event, unacked=unacked)
        consumer.requeue_lost()
        return consumer


class WakingConsumer(_RedisConsumer):
    """Consumer that waits for a notification where Dramatiq's consumer sleeps.

    Every method raises:
        ConnectionClosed: Redis is unreachable.

    Args:
        broker, queue_name, prefetch, timeout: as for Dramatiq's consumer.
        event: event that is set when the consumer should poll.
        unacked: Redis ids of the messages that were received and not yet acknowledged; shared with
            earlier and later consumers of the same queue.
    """

    def __init__(
        self,
        broker: WakingBroker,
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
        self._notes = broker.notes

    def __next__(self) -> MessageProxy | None:
        with _connection_lost():
            self._notes.note(q_name(self.queue_name))
            message: MessageProxy | None = super().__next__()  # type: ignore[no-untyped-call]
        if message is None:
            self._event.wait(self._idle)
            self._event.clear()
        else:
            self._unacked.add(message.options["redis_message_id"])
        return message

    def ack(self, message: MessageProxy) -> None:
        """Acknowledge a message, which makes room to fetch another."""
        with _connection_lost():
            super().ack(message)  # type: ignore[no-untyped-call]
        self._done(message)

    def nack(self, message: MessageProxy) -> None:
        """Turn a message into a dead letter, which makes room to fetch another."""
        with _connection_lost():
            super().nack(message)  # type: ignore[no-untyped-call]
        self._done(message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Requeue messages that were fetched and whose processing has not started."""
        with _connection_lost():
            super().requeue(messages)  # type: ignore[no-untyped-call]

    def requeue_lost(self) -> None:
        """Requeue messages that Redis has assigned to this worker and that never arrived."""
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
    """Turn redis-py's connection errors into ``ConnectionClosed``, which Dramatiq recovers from."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise ConnectionClosed(error) from None
