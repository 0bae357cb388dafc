"""Dispatcher: enqueues the messages of jobs."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import dramatiq
import redis
from dramatiq import Message

from pipeline.broker.lanes import Lanes
from pipeline.broker.names import (
    BUNDLE_ACTOR,
    EXPRESS_ACTOR,
    RENDER_ACTOR,
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

    Args:
        broker: sends the messages.
        lanes: chooses the queues of chunks and bundles.
    """

    def __init__(self, broker: Sender, lanes: Lanes) -> None:
        self._broker = broker
        self._lanes = lanes

    def send_chunks(self, task_id: str, chunks: Sequence[int], tenant: str) -> None:
        """Enqueue a group of a job's chunks, with the bundle message as completion callback.

        A single chunk goes to an express queue, so that small jobs do not wait behind large ones.
        It needs no group, because the actor that stages a job's last chunk enqueues the bundle.

        Args:
            task_id: the job.
            chunks: indexes of the chunks to render; at least one.
            tenant: id of the tenant that owns the job.
        """
        if len(chunks) == 1:
            queue = self._lanes.express_queue(tenant)
            self._enqueue(_message(queue, EXPRESS_ACTOR, task_id, chunks[0]))
            return
        queue = self._lanes.render_queue(tenant)
        messages = [_message(queue, RENDER_ACTOR, task_id, index) for index in chunks]
        callback = self._bundle_message(task_id, tenant)
        try:
            with self._broker.batch() as broker:
                group = dramatiq.group(messages, broker=broker)
                group.add_completion_callback(callback)
                group.run()
        except (redis.RedisError, dramatiq.BrokerError) as error:
            raise EnqueueError(str(error)) from error

    def send_bundle(self, task_id: str, tenant: str) -> None:
        """Enqueue the message that builds a job's bundle; a duplicate is harmless."""
        self._enqueue(self._bundle_message(task_id, tenant))

    def send_callback(self, task_id: str, *, delay: int | None = None) -> None:
        """Enqueue the message that sends a job's webhook, with a delay in milliseconds if given.

        A message for a webhook that is not due is harmless.
        """
        self._enqueue(_message(WEBHOOK_QUEUE, WEBHOOK_ACTOR, task_id), delay)

    def _bundle_message(self, task_id: str, tenant: str) -> Message[None]:
        return _message(self._lanes.bundle_queue(tenant), BUNDLE_ACTOR, task_id)

    def _enqueue(self, message: Message[None], delay: int | None = None) -> None:
        try:
            self._broker.enqueue(message, delay=delay)
        except (redis.RedisError, dramatiq.BrokerError) as error:
            raise EnqueueError(str(error)) from error


def _message(queue: str, actor: str, *args: str | int) -> Message[None]:
    options = {OPTION: MESSAGE_VERSION}
    return Message(queue_name=queue, actor_name=actor, args=args, kwargs={}, options=options)
