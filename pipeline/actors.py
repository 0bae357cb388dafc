"""The actors: what a worker does with a message, in a few lines each."""

import dramatiq
from dramatiq import Broker

from pipeline.broker import (
    BUNDLE_ACTOR,
    BUNDLE_QUEUE,
    EXPRESS_ACTOR,
    EXPRESS_QUEUE,
    RENDER_ACTOR,
    RENDER_QUEUE,
    Dispatcher,
)
from pipeline.bundle import Bundler
from pipeline.chunks import ChunkRenderer
from pipeline.store import ObjectMissingError

#: Milliseconds; a little over what each may take at its largest.
_RENDER_TIME_LIMIT = 10 * 60_000
_BUNDLE_TIME_LIMIT = 60 * 60_000
#: Of the messages that a worker has fetched, those with the lower number come first.
_SOONER, _LATER = 0, 10


def declare_actors(
    broker: Broker, dispatcher: Dispatcher, renderer: ChunkRenderer, bundler: Bundler
) -> None:
    """Declare the actors on ``broker``; what they work with is handed to them here."""

    def render(task_id: str, chunk_index: int) -> None:
        """Render one chunk; the last one of a job asks for the bundle."""
        if renderer.run(task_id, chunk_index):
            dispatcher.send_bundle(task_id)

    def bundle(task_id: str) -> None:
        """Build a job's bundle: the completion callback of its group of chunks."""
        damaged = bundler.run(task_id)
        if damaged is not None:
            dispatcher.send_chunks(task_id, [damaged])

    for name, queue, priority in (
        (RENDER_ACTOR, RENDER_QUEUE, _LATER),
        (EXPRESS_ACTOR, EXPRESS_QUEUE, _SOONER),
    ):
        dramatiq.actor(
            broker=broker,
            queue_name=queue,
            actor_name=name,
            priority=priority,
            time_limit=_RENDER_TIME_LIMIT,
            throws=ObjectMissingError,
        )(render)
    dramatiq.actor(
        broker=broker,
        queue_name=BUNDLE_QUEUE,
        actor_name=BUNDLE_ACTOR,
        priority=_SOONER,
        time_limit=_BUNDLE_TIME_LIMIT,
    )(bundle)
