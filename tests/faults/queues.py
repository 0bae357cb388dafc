"""A broker's queues, changed by hand."""

import random
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import msgspec
import redis
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from pipeline.broker.names import BUNDLE_ACTOR, BUNDLE_QUEUE

_NAMESPACE = "dramatiq"


class Messages(Protocol):
    """What is done to them."""

    def waiting(self, queue: str) -> int:
        """Return how many wait in a queue."""

    def double(self, queue: str) -> int:
        """Put a second copy of every waiting message at the end of its queue; return how many."""

    def shuffle(self, queue: str, source: random.Random) -> int:
        """Reorder the waiting messages; return how many they are."""

    def ask_for_bundle(self, task_id: str) -> None:
        """Enqueue a completion callback."""

    def held(self, queue: str) -> AbstractContextManager[object]:
        """Keep back whatever waits in a queue as the block begins, and put it back at its end."""


class RedisMessages:
    """Those in Redis. Their keys are explained atop Dramatiq's dispatch.lua."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def waiting(self, queue: str) -> int:
        return len(self._queued(queue))

    def double(self, queue: str) -> int:
        ids = self._queued(queue)
        for number in ids:
            data = self._client.hget(f"{_NAMESPACE}:{queue}.msgs", number)
            if data is not None:
                self._put(queue, _bytes(data))
        return len(ids)

    def shuffle(self, queue: str, source: random.Random) -> int:
        name, ids = f"{_NAMESPACE}:{queue}", self._queued(queue)
        source.shuffle(ids)
        with self._client.pipeline(transaction=True) as pipe:
            pipe.delete(name)
            if ids:
                pipe.rpush(name, *ids)
            pipe.execute()
        return len(ids)

    def ask_for_bundle(self, task_id: str) -> None:
        self._put(BUNDLE_QUEUE, _bundle_message(task_id))

    @contextmanager
    def held(self, queue: str) -> Iterator[None]:
        name, aside = f"{_NAMESPACE}:{queue}", f"faults:held:{queue}"
        while self._client.lmove(name, aside, "LEFT", "RIGHT") is not None:
            pass
        try:
            yield
        finally:
            while self._client.lmove(aside, name, "LEFT", "RIGHT") is not None:
                pass

    def _queued(self, queue: str) -> list[bytes]:
        return [_bytes(each) for each in self._client.lrange(f"{_NAMESPACE}:{queue}", 0, -1)]

    def _put(self, queue: str, data: bytes) -> None:
        # Redis knows a message by an id of its own, so that one message can wait there twice.
        number = str(uuid.uuid4())
        message = msgspec.json.decode(data)
        message["options"]["redis_message_id"] = number
        self._client.hset(f"{_NAMESPACE}:{queue}.msgs", number, msgspec.json.encode(message))
        self._client.rpush(f"{_NAMESPACE}:{queue}", number)


class RabbitMessages:
    """Those in RabbitMQ that no worker has fetched."""

    def __init__(self, channel: BlockingChannel) -> None:
        self._channel = channel

    def waiting(self, queue: str) -> int:
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def double(self, queue: str) -> int:
        with self.held(queue) as bodies:
            for body in bodies:
                self._channel.basic_publish("", queue, body)
        return len(bodies)

    def shuffle(self, queue: str, source: random.Random) -> int:
        fetched = self._fetch(queue)
        bodies = [body for _, body in fetched]
        source.shuffle(bodies)
        for body in bodies:
            self._channel.basic_publish("", queue, body)
        for method, _ in fetched:
            self._channel.basic_ack(method.delivery_tag or 0)
        return len(bodies)

    def ask_for_bundle(self, task_id: str) -> None:
        self._channel.basic_publish("", BUNDLE_QUEUE, _bundle_message(task_id))

    @contextmanager
    def held(self, queue: str) -> Iterator[list[bytes]]:
        fetched = self._fetch(queue)
        try:
            yield [body for _, body in fetched]
        finally:
            for method, _ in fetched:
                self._channel.basic_nack(method.delivery_tag or 0, requeue=True)

    def _fetch(self, queue: str) -> list[tuple[Basic.GetOk, bytes]]:
        fetched = []
        for _ in range(self.waiting(queue)):
            method, _, body = self._channel.basic_get(queue)
            if method is None or body is None:
                break
            fetched.append((method, body))
        return fetched


def _bundle_message(task_id: str) -> bytes:
    message = {
        "queue_name": BUNDLE_QUEUE,
        "actor_name": BUNDLE_ACTOR,
        "args": [task_id],
        "kwargs": {},
        "options": {},
        "message_id": str(uuid.uuid4()),
        "message_timestamp": 0,
    }
    return msgspec.json.encode(message)


def _bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode()
