"""The dispatcher: it sends the messages that move a job."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import dramatiq
import redis
from dramatiq import Message

from pipeline.broker.names import (
    BUNDLE_ACTOR,
    BUNDLE_QUEUE,
    EXPRESS_ACTOR,
    EXPRESS_QUEUE,
    RENDER_ACTOR,
    RENDER_QUEUE,
    WEBHOOK_ACTOR,
    WEBHOOK_QUEUE,
)
from pipeline.broker.newer_messages import OPTION
from pipeline.errors import EnqueueError
from pipeline.model.versions import VERSION


class Sender(Protocol):
    """A broker that sends messages one by one or together."""

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send a message, ``delay`` milliseconds from now."""

    def batch(self) -> AbstractContextManager[dramatiq.Broker]:
        """Give a broker whose messages are sent at the end of the block, in one go."""


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
            with self._broker.batch() as broker:
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
