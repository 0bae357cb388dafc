"""The Dramatiq broker: where messages go, with the settings that were measured to work.

The API declares the queues and sends plain messages; it has no actors. Workers declare both.
"""

import os
import socket
import uuid
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import dramatiq
import redis
from dramatiq import Message
from dramatiq.middleware import GroupCallbacks, Middleware, TimeLimit
from dramatiq.rate_limits.backends import RedisBackend

from pipeline.amqp import Amqp
from pipeline.errors import EnqueueError
from pipeline.heartbeats import WORKER, Beating
from pipeline.leave_newer import OPTION, LeaveNewer
from pipeline.ledger.connection import open_redis
from pipeline.model.versions import VERSION
from pipeline.rabbit_broker import RabbitBroker
from pipeline.settings import Settings
from pipeline.wakeups import Wakeups, WakingBroker

RENDER_QUEUE = "render"
#: Jobs of one chunk: they do not wait behind large ones.
EXPRESS_QUEUE = "express"
BUNDLE_QUEUE = "bundle"
#: The queues of jobs in flight: what waits in them is the backlog.
QUEUES = (RENDER_QUEUE, EXPRESS_QUEUE, BUNDLE_QUEUE)
#: Callbacks about jobs that have ended.
WEBHOOK_QUEUE = "webhook"
ALL_QUEUES = (*QUEUES, WEBHOOK_QUEUE)
RENDER_ACTOR = "render_chunk"
EXPRESS_ACTOR = "render_express"
BUNDLE_ACTOR = "bundle_job"
WEBHOOK_ACTOR = "send_callback"

#: Maintenance returns a dead worker's messages; at one command in ten it comes soon enough.
_MAINTENANCE_CHANCE = 100_000
_DEAD_MESSAGE_TTL = 30 * 86_400_000  # milliseconds
#: How long the group's barrier lives; a chunk put back later is bundled by the chunk itself.
_BARRIER_TTL = 86_400_000  # milliseconds


class Sender(Protocol):
    """A broker that sends messages one by one or together."""

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send a message, ``delay`` milliseconds from now."""

    def together(self) -> AbstractContextManager[dramatiq.Broker]:
        """Give a broker whose messages are sent at the end of the block, in one go."""


def connect_redis(settings: Settings, *, timeout: float, decode: bool) -> redis.Redis:
    """Return a Redis client that fails at once rather than retry behind the caller's back.

    Args:
        settings: the URL; see :mod:`pipeline.ledger.connection`.
        timeout: seconds to wait for a connection or an answer.
        decode: True for text (the ledger), False for bytes (the broker).
    """
    return open_redis(settings.redis_url, timeout=timeout, decode=decode)


def make_broker(settings: Settings, client: redis.Redis) -> WakingBroker:
    """Return a broker in Redis with the queues declared.

    Args:
        settings: how long a silent worker counts as alive.
        client: undecoded.
    """
    broker = WakingBroker(
        Wakeups(client),
        client=client,
        heartbeat_timeout=settings.heartbeat_timeout * 1000,
        maintenance_chance=_MAINTENANCE_CHANCE,
        dead_message_ttl=_DEAD_MESSAGE_TTL,
        middleware=_middleware(client),
    )
    _declare(broker)
    return broker


def make_rabbit_broker(amqp: Amqp, client: redis.Redis) -> RabbitBroker:
    """Return a broker in RabbitMQ with the queues declared.

    Args:
        amqp: the connection.
        client: undecoded: barriers of groups and signs of life stay in Redis.
    """
    broker = RabbitBroker(
        amqp,
        Beating(client),
        middleware=_middleware(client),
        dead_message_ttl=_DEAD_MESSAGE_TTL,
    )
    _declare(broker)
    return broker


def worker_name() -> str:
    """Return a new name for this process as a worker, for its heartbeats."""
    return f"{WORKER}:{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def _middleware(client: redis.Redis) -> list[Middleware]:
    barriers = GroupCallbacks(RedisBackend(client=client), barrier_ttl=_BARRIER_TTL)
    return [LeaveNewer(), TimeLimit(), barriers]


def _declare(broker: dramatiq.Broker) -> None:
    for queue in ALL_QUEUES:
        broker.declare_queue(queue)


class Dispatcher:
    """Sends the pipeline's messages.

    Every method raises:
        EnqueueError: the broker is out of reach.
    """

    def __init__(self, broker: Sender) -> None:
        self._broker = broker

    def send_chunks(self, task_id: str, chunks: Sequence[int]) -> None:
        """Enqueue a group of a job's chunks, with the bundling as completion callback.

        Args:
            task_id: the job.
            chunks: indexes of the chunks to render; at least one. One alone goes by the express
                queue, so that small jobs do not wait behind large ones, and needs no group: it is
                the last chunk, which asks for the bundle by itself.
        """
        if len(chunks) == 1:
            self._enqueue(_message(EXPRESS_QUEUE, EXPRESS_ACTOR, task_id, chunks[0]))
            return
        messages = [_message(RENDER_QUEUE, RENDER_ACTOR, task_id, index) for index in chunks]
        callback = _message(BUNDLE_QUEUE, BUNDLE_ACTOR, task_id)
        try:
            with self._broker.together() as broker:
                group = dramatiq.group(messages, broker=broker)
                group.add_completion_callback(callback)
                group.run()
        except (redis.RedisError, dramatiq.BrokerError) as error:
            raise EnqueueError(str(error)) from error

    def send_bundle(self, task_id: str) -> None:
        """Ask for a job's bundle; asking twice does no harm."""
        self._enqueue(_message(BUNDLE_QUEUE, BUNDLE_ACTOR, task_id))

    def send_callback(self, task_id: str, *, delay: int | None = None) -> None:
        """Ask for an attempt to deliver a job's callback, ``delay`` milliseconds from now.

        Asking for one that is not due does no harm.
        """
        self._enqueue(_message(WEBHOOK_QUEUE, WEBHOOK_ACTOR, task_id), delay)

    def _enqueue(self, message: Message[None], delay: int | None = None) -> None:
        try:
            self._broker.enqueue(message, delay=delay)
        except (redis.RedisError, dramatiq.BrokerError) as error:
            raise EnqueueError(str(error)) from error


def _message(queue: str, actor: str, *args: str | int) -> Message[None]:
    options = {OPTION: VERSION}
    return Message(queue_name=queue, actor_name=actor, args=args, kwargs={}, options=options)
