"""Middleware that bounds the threads of a worker that send webhooks or build bundles."""

from typing import TYPE_CHECKING

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from pipeline.broker.names import (
    ALL_QUEUES,
    BUNDLE_QUEUES,
    EXPRESS_QUEUES,
    RENDER_QUEUES,
    WEBHOOK_QUEUE,
)
from pipeline.webhooks.slots import Slots

if TYPE_CHECKING:
    from pipeline.broker.factory import ServiceBroker


class ThreadShares(Middleware):
    """Leaves threads of a worker to its other queues, however slow webhook receivers are.

    In a worker for webhooks alone, all threads send webhooks; elsewhere at most half of them do.
    Where chunks are rendered too, the bundles of a lane occupy half as many threads as its chunks.

    Args:
        broker: fetches at most as many messages of a queue as may be processed.
        slots: slots for webhooks that are being sent.
    """

    def __init__(self, broker: "ServiceBroker", slots: Slots) -> None:
        self._broker = broker
        self._slots = slots

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Set the limits before the first consumer starts."""
        threads, limits = worker.worker_threads, self._broker.prefetch_limits
        queues = worker.consumer_whitelist or {*ALL_QUEUES}
        self._slots.capacity = threads if queues == {WEBHOOK_QUEUE} else max(1, threads // 2)
        limits[WEBHOOK_QUEUE] = self._slots.capacity
        if queues & {*RENDER_QUEUES, *EXPRESS_QUEUES}:
            limits.update(dict.fromkeys(BUNDLE_QUEUES, max(1, worker.queue_prefetch // 2)))
