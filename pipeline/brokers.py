"""Which broker there is: Redis, or RabbitMQ when the settings name one; and its queues."""

from typing import NamedTuple

import redis

from pipeline.amqp import Amqp
from pipeline.broker import Dispatcher, make_broker, make_rabbit_broker
from pipeline.heartbeats import Heartbeats
from pipeline.queues import Queues
from pipeline.rabbit_broker import RabbitBroker
from pipeline.rabbit_queues import RabbitQueues
from pipeline.redis_queues import RedisQueues
from pipeline.settings import Settings
from pipeline.unbegun import Unbegun
from pipeline.wakeups import WakingBroker


class BrokerParts(NamedTuple):
    """A broker and what is asked of it.

    Attributes:
        dispatcher: sends by it.
        heartbeats: of its workers.
    """

    broker: WakingBroker | RabbitBroker
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
    """Return the broker that the settings name; connections are made when first used.

    Args:
        settings: the URL, and how long one that is silent counts as alive.
        text: of Redis, decodes responses.
        plain: of Redis, does not.
        timeout: seconds to wait for an answer of RabbitMQ.
    """
    heartbeats = Heartbeats(text, settings.heartbeat_timeout)
    if settings.broker_url is None:
        broker = make_broker(settings, plain)
        return BrokerParts(broker, Dispatcher(broker), RedisQueues(text), heartbeats)
    amqp = Amqp(settings.broker_url, timeout=timeout, heartbeat=settings.heartbeat_timeout)
    rabbit = make_rabbit_broker(amqp, plain)
    queues = RabbitQueues(amqp, text, heartbeats, Unbegun(text))
    return BrokerParts(rabbit, Dispatcher(rabbit), queues, heartbeats)
