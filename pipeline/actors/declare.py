"""Declaration of the Dramatiq actors: what each kind of message makes a worker do."""

import time
from typing import Any, cast

import dramatiq
from dramatiq import Actor, Broker, Message
from dramatiq.middleware import CurrentMessage

from pipeline.actors.bundle_job import BUNDLE_TIME_LIMIT, Bundler
from pipeline.actors.render_chunk import RENDER_TIME_LIMIT, ChunkRenderer
from pipeline.broker.dispatcher import Dispatcher
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
from pipeline.broker.newer_messages import requeue_if_newer
from pipeline.ledger.ledger import Ledger
from pipeline.webhooks.schedule import Callbacks
from pipeline.webhooks.sender import WEBHOOK_TIME_LIMIT, CallbackFailedError, WebhookSender

#: Milliseconds by which a fetched message goes behind others that are fetched later. A small job
#: overtakes the chunks of large jobs, but a flood of small jobs delays a chunk by this time only.
_SOONER, _LATER = 0, 300
#: Dramatiq does not retry webhooks: the ledger schedules the next attempt, and the sweep enqueues
#: it.
_LEDGER_RETRIES: dict[str, Any] = {"max_retries": 0, "throws": CallbackFailedError}


class TimedActor(Actor[..., None]):
    """An actor whose messages a worker processes in the order of due times.

    Dramatiq processes the fetched message with the lowest priority first. If priorities were
    constant, a message with a high one would wait as long as others arrive.
    """

    @property
    def priority(self) -> int:
        """When a message that is fetched now is due, in milliseconds of a monotonic clock."""
        return time.monotonic_ns() // 1_000_000 + self._delay

    @priority.setter
    def priority(self, delay: int) -> None:
        self._delay = delay


def declare_actors(
    broker: Broker,
    dispatcher: Dispatcher,
    ledger: Ledger,
    renderer: ChunkRenderer,
    bundler: Bundler,
    *,
    callbacks: Callbacks,
    webhooks: WebhookSender,
) -> None:
    """Declare the actors on ``broker``; the other arguments are what the actors call."""

    @requeue_if_newer
    def render(task_id: str, chunk_index: int) -> None:
        """Render one chunk, and enqueue the bundle after the last chunk of the job."""
        if renderer.run(task_id, chunk_index, _message_id()):
            dispatcher.send_bundle(task_id, ledger.owner(task_id))

    @requeue_if_newer
    def bundle(task_id: str) -> None:
        """Build a job's bundle; runs as the completion callback of the job's group of chunks."""
        damaged = bundler.run(task_id, _message_id())
        if damaged is not None:
            dispatcher.send_chunks(task_id, [damaged], ledger.owner(task_id))

    @requeue_if_newer
    def call_back(task_id: str) -> None:
        """Send the webhook of a job that has ended."""
        if not webhooks.run(task_id, _message_id()):
            callbacks.requeue_later(task_id)

    no_options: dict[str, Any] = {}
    for name, queue, priority, time_limit, run, options in (
        (RENDER_ACTOR, RENDER_QUEUE, _LATER, RENDER_TIME_LIMIT, render, no_options),
        (EXPRESS_ACTOR, EXPRESS_QUEUE, _SOONER, RENDER_TIME_LIMIT, render, no_options),
        (BUNDLE_ACTOR, BUNDLE_QUEUE, _SOONER, BUNDLE_TIME_LIMIT, bundle, no_options),
        (WEBHOOK_ACTOR, WEBHOOK_QUEUE, _SOONER, WEBHOOK_TIME_LIMIT, call_back, _LEDGER_RETRIES),
    ):
        dramatiq.actor(
            broker=broker,
            actor_class=TimedActor,
            queue_name=queue,
            actor_name=name,
            priority=priority,
            time_limit=time_limit,
            **options,
        )(run)


def _message_id() -> str:
    """Return the id of the current message; a requeued dead letter keeps its message id."""
    return cast("Message[None]", CurrentMessage.get_current_message()).message_id
