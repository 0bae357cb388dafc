"""Factory of the broker that the settings name, on Redis or RabbitMQ.

The brokers' options were chosen by measurement. The API declares the queues and sends plain
messages; it has no actors. Workers declare queues and actors.
"""

import os
import socket
import uuid
from typing import TYPE_CHECKING, NamedTuple

import dramatiq
import redis
from dramatiq.middleware import GroupCallbacks, Middleware, TimeLimit

from pipeline.broker.barriers import BarrierBackend
from pipeline.broker.dead_letters import DEAD_LETTER_TTL
from pipeline.broker.dispatcher import Dispatcher
from pipeline.broker.heartbeats import WORKER, HeartbeatMiddleware, Heartbeats
from pipeline.broker.inspection import Queues
from pipeline.broker.lanes import ConsumerNotes, Lanes
from pipeline.broker.names import ALL_QUEUES
from pipeline.broker.newer_messages import LeaveNewer
from pipeline.broker.queue_age import QueueAge
from pipeline.broker.redis import EnqueueNotifier, WakingBroker
from pipeline.broker.redis_queues import RedisQueues
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.broker.rabbitmq import RabbitBroker

    ServiceBroker = WakingBroker | RabbitBroker

#: Number of commands out of a million that make Dramatiq requeue the messages of dead workers. One
#: command in ten is sufficient.
_MAINTENANCE_CHANCE = 100_000
#: Lifetime of a group's barrier. The bundle does not depend on the barrier, because the actor that
#: stages a job's last chunk enqueues the bundle too.
_BARRIER_TTL = 86_400_000  # milliseconds


class BrokerParts(NamedTuple):
    """A broker and the objects that work with it.

    Attributes:
        broker: the broker itself.
        dispatcher: enqueues messages on the broker.
        queues: queries the broker's queues.
        heartbeats: reads the heartbeats of the broker's workers.
    """

    broker: "ServiceBroker"
    dispatcher: Dispatcher
    queues: Queues
    heartbeats: Heartbeats


def open_broker(
    settings: Settings,
    text: redis.Redis,
    plain: redis.Redis,
    *,
    timeout: float,
) -> BrokerParts:
    """Return the broker that the settings name; its connections are opened on first use.

    Args:
        settings: the broker's URL and the heartbeat timeout.
        text: Redis client that decodes responses.
        plain: Redis client that does not decode responses.
        timeout: seconds to wait for a response from RabbitMQ.
    """
    heartbeats = Heartbeats(text, settings.heartbeat_timeout_ms)
    if settings.broker_url is None:
        broker = make_broker(settings, plain)
        dispatcher = Dispatcher(broker, Lanes(text))
        return BrokerParts(broker, dispatcher, RedisQueues(text), heartbeats)
    return _open_rabbitmq(
        settings, settings.broker_url, text, plain, timeout=timeout, heartbeats=heartbeats
    )


def make_broker(settings: Settings, client: redis.Redis) -> WakingBroker:
    """Return a broker on Redis with the queues declared.

    Args:
        settings: the heartbeat timeout.
        client: Redis client that does not decode responses.
    """
    broker = WakingBroker(
        EnqueueNotifier(client),
        ConsumerNotes(client),
        client=client,
        heartbeat_timeout=settings.heartbeat_timeout_ms,
        maintenance_chance=_MAINTENANCE_CHANCE,
        dead_message_ttl=DEAD_LETTER_TTL,
        middleware=_middleware(client),
    )
    _declare(broker)
    return broker


def worker_name() -> str:
    """Return a new broker id for this worker process, which identifies its heartbeats."""
    return f"{WORKER}:{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"


def _open_rabbitmq(
    settings: Settings,
    url: str,
    text: redis.Redis,
    plain: redis.Redis,
    *,
    timeout: float,
    heartbeats: Heartbeats,
) -> BrokerParts:
    # These modules import pika, which is needed only with RabbitMQ.
    from pipeline.broker.rabbitmq import RabbitBroker  # noqa: PLC0415
    from pipeline.broker.rabbitmq_connection import Amqp  # noqa: PLC0415
    from pipeline.broker.rabbitmq_queues import RabbitQueues  # noqa: PLC0415

    amqp = Amqp(url, timeout=timeout, heartbeat=settings.heartbeat_timeout)
    broker = RabbitBroker(
        amqp,
        # Heartbeats, notes and group barriers stay in Redis.
        HeartbeatMiddleware(plain, ConsumerNotes(plain)),
        middleware=_middleware(plain),
        dead_message_ttl=DEAD_LETTER_TTL,
    )
    _declare(broker)
    queues = RabbitQueues(amqp, text, heartbeats, QueueAge(text))
    return BrokerParts(broker, Dispatcher(broker, Lanes(text)), queues, heartbeats)


def _middleware(client: redis.Redis) -> list[Middleware]:
    barriers = GroupCallbacks(BarrierBackend(client=client), barrier_ttl=_BARRIER_TTL)
    return [LeaveNewer(), TimeLimit(), barriers]


def _declare(broker: dramatiq.Broker) -> None:
    for queue in ALL_QUEUES:
        broker.declare_queue(queue)
