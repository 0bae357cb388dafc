"""Dispatcher: enqueues the messages of jobs."""

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
from pipeline.model.versions import MESSAGE_VERSION


class Sender(Protocol):
    """A broker that sends messages one by one or in a batch."""

    def enqueue(self, message: Message[Any], *, delay: int | None = None) -> Message[Any]:
        """Send a message; ``delay`` postpones its delivery by that many milliseconds."""

    def batch(self) -> AbstractContextManager[dramatiq.Broker]:
        """Return a context manager whose broker sends its messages together on exit."""


class Dispatcher:
    """Enqueues the pipeline's messages.

    Every method raises:
        EnqueueError: the broker is unreachable.
    """

    def __init__(self, broker: Sender) -> None:
        self._broker = broker

    def send_chunks(self, task_id: str, chunks: Sequence[int]) -> None:
        """Enqueue a group of a job's chunks, with the bundle message as completion callback.

        A single chunk goes to the express queue, so that small jobs do not wait behind large ones.
        It needs no group, because the actor that stages a job's last chunk enqueues the bundle.

        Args:
            task_id: the job.
            chunks: indexes of the chunks to render; at least one.
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
        """Enqueue the message that builds a job's bundle; a duplicate is harmless."""
        self._enqueue(_message(BUNDLE_QUEUE, BUNDLE_ACTOR, task_id))

    def send_callback(self, task_id: str, *, delay: int | None = None) -> None:
        """Enqueue the message that sends a job's webhook, with a delay in milliseconds if given.

        A message for a webhook that is not due is harmless.
        """
        self._enqueue(_message(WEBHOOK_QUEUE, WEBHOOK_ACTOR, task_id), delay)

    def _enqueue(self, message: Message[None], delay: int | None = None) -> None:
        try:
            self._broker.enqueue(message, delay=delay)
        except (redis.RedisError, dramatiq.BrokerError) as error:
            raise EnqueueError(str(error)) from error


def _message(queue: str, actor: str, *args: str | int) -> Message[None]:
    options = {OPTION: MESSAGE_VERSION}
    return Message(queue_name=queue, actor_name=actor, args=args, kwargs={}, options=options)
