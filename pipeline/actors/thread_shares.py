"""Middleware that bounds the threads of a worker that send webhooks or build bundles."""

from typing import TYPE_CHECKING

from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from pipeline.broker.names import BUNDLE_QUEUE, WEBHOOK_QUEUE
from pipeline.webhooks.slots import Slots

if TYPE_CHECKING:
    from pipeline.broker.factory import ServiceBroker


class ThreadShares(Middleware):
    """Leaves threads of a worker to its other queues, however slow webhook receivers are.

    In a worker for one queue alone, all threads process its messages. Elsewhere webhooks occupy at
    most half of the threads, and bundles at most half as many as the chunks of a tenant.

    Args:
        broker: fetches at most as many messages of a queue as may be processed.
        slots: slots for webhooks that are being sent.
    """

    def __init__(self, broker: "ServiceBroker", slots: Slots) -> None:
        self._broker = broker
        self._slots = slots

    def before_worker_boot(self, broker: Broker, worker: Worker) -> None:
        """Set the limits before the first consumer starts."""
        self._slots.capacity = worker.worker_threads
        if worker.consumer_whitelist is not None and len(worker.consumer_whitelist) == 1:
            return
        self._slots.capacity = max(1, worker.worker_threads // 2)
        limits = {WEBHOOK_QUEUE: self._slots.capacity, BUNDLE_QUEUE: worker.queue_prefetch // 2}
        self._broker.prefetch_limits.update({name: max(1, most) for name, most in limits.items()})
