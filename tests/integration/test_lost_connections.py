"""What a worker's consumers do when Redis is silent for longer than they wait for it."""

import os
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis
from dramatiq import Message
from dramatiq.common import dq_name
from dramatiq.errors import ConnectionClosed

from deploy.embedded import servers
from deploy.embedded.ports import free_port
from deploy.embedded.process import PartProcess, start_and_wait
from pipeline.broker.factory import make_broker
from pipeline.broker.names import RENDER_ACTOR, RENDER_QUEUE
from pipeline.broker.redis import WakingBroker, WakingConsumer
from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis
from pipeline.service import Settings
from tests.waiting import wait_for

#: Seconds that they wait for an answer.
TIMEOUT = 0.3


@dataclass
class Silent:
    """A Valkey of its own that can be stopped, and a worker's broker on it."""

    server: PartProcess
    broker: WakingBroker
    client: redis.Redis

    def send(self, delay: int | None = None) -> None:
        message: Message[None] = Message(
            queue_name=RENDER_QUEUE, actor_name=RENDER_ACTOR, args=("job", 0), kwargs={}, options={}
        )
        self.broker.enqueue(message, delay=delay)

    def consumer(self, queue: str = RENDER_QUEUE) -> WakingConsumer:
        return self.broker.consume(queue, prefetch=1, timeout=1)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        os.kill(self.server.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.server.pid, signal.SIGCONT)

    def fetched(self, queue: str = RENDER_QUEUE) -> int:
        return int(self.client.scard(keys.fetched(self.broker.broker_id, queue)))


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[Silent]:
    address = servers.RedisServer(free_port(), secrets.token_hex(16))
    server = start_and_wait(servers.valkey(address, tmp_path / "valkey", os.environ), tmp_path)
    settings = Settings(redis_url=address.url)
    client = open_redis(settings.redis_url, timeout=5)
    broker = make_broker(settings, open_redis(settings.redis_url, timeout=TIMEOUT))
    yield Silent(server, broker, client)
    broker.client.close()
    client.close()
    server.stop()


def test_a_message_whose_fetch_was_not_answered_comes_with_the_next_consumer(
    silent: Silent,
) -> None:
    consumer = silent.consumer()
    assert next(consumer) is None  # it is connected
    silent.send()
    with silent.stopped(), pytest.raises(ConnectionClosed):
        next(consumer)
    wait_for(lambda: silent.fetched() == 1, "the fetch that nobody waits for any longer")
    assert next(silent.consumer()) is not None


def test_a_message_at_hand_is_not_put_back(silent: Silent) -> None:
    silent.send()
    message = next(silent.consumer())
    assert message is not None
    other = silent.consumer()
    assert next(other) is None
    other.ack(message)
    assert silent.fetched() == 0
    assert silent.client.hlen(keys.messages(RENDER_QUEUE)) == 0


def test_a_delayed_message_comes_again_with_the_next_consumer(silent: Silent) -> None:
    silent.send(delay=60_000)
    queue = dq_name(RENDER_QUEUE)
    assert next(silent.consumer(queue)) is not None
    assert next(silent.consumer(queue)) is not None


def test_what_is_not_acknowledged_in_time_is_a_lost_connection(silent: Silent) -> None:
    silent.send()
    consumer = silent.consumer()
    message = next(consumer)
    assert message is not None
    for step in (consumer.ack, consumer.nack, lambda each: consumer.requeue([each])):
        with silent.stopped(), pytest.raises(ConnectionClosed):
            step(message)
    with silent.stopped(), pytest.raises(ConnectionClosed):
        silent.consumer()


def test_the_kernel_ends_silent_connections(silent: Silent) -> None:
    connection = silent.broker.client.connection_pool.get_connection()
    assert connection._sock is not None
    option = connection._sock.getsockopt
    assert option(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
    assert option(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
    assert option(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == TIMEOUT * 1000
    silent.broker.client.connection_pool.release(connection)
