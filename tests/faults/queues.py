"""Dramatiq's queues in Redis, changed by hand. Their keys are explained atop its dispatch.lua."""

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import redis

from pipeline.broker import BUNDLE_ACTOR, BUNDLE_QUEUE

_NAMESPACE = "dramatiq"


def queued(client: redis.Redis, queue: str) -> list[bytes]:
    """Return the ids of the messages that wait in a queue, the next one first."""
    return [_bytes(each) for each in client.lrange(f"{_NAMESPACE}:{queue}", 0, -1)]


def double(client: redis.Redis, queue: str) -> int:
    """Put a second copy of every waiting message at the end of its queue; return how many."""
    ids = queued(client, queue)
    for number in ids:
        data = client.hget(f"{_NAMESPACE}:{queue}.msgs", number)
        if data is not None:
            _put(client, queue, _bytes(data))
    return len(ids)


def shuffle(client: redis.Redis, queue: str, source: random.Random) -> int:
    """Reorder the waiting messages in one step; return how many they are."""
    name, ids = f"{_NAMESPACE}:{queue}", queued(client, queue)
    source.shuffle(ids)
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(name)
        if ids:
            pipe.rpush(name, *ids)
        pipe.execute()
    return len(ids)


def ask_for_bundle(client: redis.Redis, task_id: str) -> None:
    """Enqueue a completion callback."""
    message = {
        "queue_name": BUNDLE_QUEUE,
        "actor_name": BUNDLE_ACTOR,
        "args": [task_id],
        "kwargs": {},
        "options": {},
        "message_id": str(uuid.uuid4()),
        "message_timestamp": 0,
    }
    _put(client, BUNDLE_QUEUE, msgspec.json.encode(message))


@contextmanager
def held(client: redis.Redis, queue: str) -> Iterator[None]:
    """Keep back whatever waits in a queue as the block begins, and put it back at its end."""
    name, aside = f"{_NAMESPACE}:{queue}", f"faults:held:{queue}"
    while client.lmove(name, aside, "LEFT", "RIGHT") is not None:
        pass
    try:
        yield
    finally:
        while client.lmove(aside, name, "LEFT", "RIGHT") is not None:
            pass


def _bytes(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _put(client: redis.Redis, queue: str, data: bytes) -> None:
    # Redis knows a message by an id of its own, so that one message can wait there twice.
    number = str(uuid.uuid4())
    message = msgspec.json.decode(data)
    message["options"]["redis_message_id"] = number
    client.hset(f"{_NAMESPACE}:{queue}.msgs", number, msgspec.json.encode(message))
    client.rpush(f"{_NAMESPACE}:{queue}", number)
