"""Queues of the Redis broker, read from the keys that Dramatiq writes.

A message is always in exactly one place. Requeueing is one atomic step: if two processes requeue
the same dead letter concurrently, only one of them moves it.
"""

from collections.abc import Sequence
from typing import Any, cast

import msgspec
import redis
from dramatiq import MessageProxy
from dramatiq.common import q_name

from pipeline.broker.inspection import DeadLetter, QueueState, age, encode_dead_letter, renewed
from pipeline.broker.names import ALL_QUEUES
from pipeline.ledger import keys
from pipeline.ledger.connection import translated
from pipeline.ledger.scripts import Scripts

#: Number of values that :meth:`RedisQueues.read` reads per queue.
_VALUES = 7


class _Sent(msgspec.Struct):
    message_timestamp: int


class RedisQueues:
    """Queues of one Redis server.

    Args:
        client: Redis client that decodes responses.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._run = Scripts(client).run

    def ping(self) -> None:
        """Check that Redis responds."""
        with translated():
            self._client.ping()

    def read(self) -> list[QueueState]:
        """Return the state of every queue, in two round trips."""
        with translated(), self._client.pipeline(transaction=False) as pipe:
            for queue in ALL_QUEUES:
                name, letters = keys.queue(queue), keys.dead_letters(queue)
                pipe.llen(name)
                pipe.hlen(keys.messages(queue))
                pipe.hlen(keys.delayed_messages(queue))
                pipe.zcard(letters)
                # A dead worker's messages are requeued at the end of the list, so the oldest
                # waiting message may be at either end.
                pipe.lindex(name, 0)
                pipe.lindex(name, -1)
                pipe.zrange(letters, 0, 0, withscores=True)
            found = pipe.execute()
            rows = [found[start : start + _VALUES] for start in range(0, len(found), _VALUES)]
            for queue, row in zip(ALL_QUEUES, rows, strict=True):
                pipe.hmget(keys.messages(queue), row[4] or "", row[5] or "")
            heads = pipe.execute()
        return [_state(*each) for each in zip(ALL_QUEUES, rows, heads, strict=True)]

    def size(self, *queues: str) -> int:
        """Return the number of messages that are not yet processed, in one round trip."""
        with translated(), self._client.pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.hlen(keys.messages(queue))
                pipe.hlen(keys.delayed_messages(queue))
            return sum(cast("list[int]", pipe.execute()))

    def waiting(self, *queues: str) -> int:
        """Return the number of messages that no worker has fetched, in one round trip."""
        with translated(), self._client.pipeline(transaction=False) as pipe:
            for queue in queues:
                pipe.llen(keys.queue(queue))
            return sum(cast("list[int]", pipe.execute()))

    def letters(self, queue: str, limit: int) -> list[DeadLetter]:
        """Return the newest dead letters of a queue."""
        with translated():
            ids = cast(
                "list[tuple[str, float]]",
                self._client.zrevrange(keys.dead_letters(queue), 0, limit - 1, withscores=True),
            )
        texts = self._texts(queue, [letter_id for letter_id, _ in ids])
        return [
            DeadLetter(letter_id, int(died), text)
            for (letter_id, died), text in zip(ids, texts, strict=True)
            if text is not None
        ]

    def requeue(self, queue: str, letter_ids: list[str]) -> int:
        """Requeue dead letters in one atomic step."""
        found = self._texts(queue, letter_ids)
        arguments = [
            part
            for letter_id, text in zip(letter_ids, found, strict=True)
            if text is not None and (message := renewed(text)) is not None
            for part in (letter_id, message)
        ]
        names = [keys.dead_letters(queue), keys.dead_messages(queue)]
        names += [keys.queue(queue), keys.messages(queue)]
        return int(self._run("requeue_dead_letters", names, *arguments)) if arguments else 0

    def discard(self, queue: str, letter_ids: list[str]) -> int:
        """Delete dead letters."""
        if not letter_ids:
            return 0
        with translated(), self._client.pipeline(transaction=True) as pipe:
            pipe.zrem(keys.dead_letters(queue), *letter_ids)
            pipe.hdel(keys.dead_messages(queue), *letter_ids)
            _, removed = pipe.execute()
        return int(removed)

    def attach_error(self, message: MessageProxy) -> bool:
        """Replace the stored message of a dead letter with ``message``, which contains the error.

        Returns:
            False if the message was requeued since, or never became a dead letter.
        """
        names = [keys.dead_messages(q_name(message.queue_name))]
        name = str(message.options.get("redis_message_id", ""))
        return bool(self._run("attach_error", names, name, encode_dead_letter(message).decode()))

    def _texts(self, queue: str, letter_ids: list[str]) -> list[str | None]:
        if not letter_ids:
            return []
        with translated():
            found = self._client.hmget(keys.dead_messages(queue), letter_ids)
        return cast("list[str | None]", found)


def _state(queue: str, row: Sequence[Any], head: Sequence[str | None]) -> QueueState:
    waiting, held, delayed, dead, _, _, died = row
    sent = [at for text in head if text is not None and (at := _sent_at(text)) is not None]
    return QueueState(
        name=queue,
        waiting=waiting,
        in_progress=max(0, held - waiting),
        delayed=delayed,
        dead=dead,
        oldest_waiting=age(min(sent, default=None)),
        oldest_dead=age(died[0][1] if died else None),
    )


def _sent_at(message: str) -> int | None:
    try:
        return msgspec.json.decode(message, type=_Sent).message_timestamp
    except msgspec.DecodeError:  # not a Dramatiq message, so its age is unknown
        return None
