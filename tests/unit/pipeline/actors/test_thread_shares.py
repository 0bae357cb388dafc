"""Shares of a worker's threads that webhooks and bundles may occupy."""

import pytest
import redis
from dramatiq import Worker

from pipeline.actors.thread_shares import ThreadShares
from pipeline.broker.factory import make_broker
from pipeline.broker.names import BUNDLE_QUEUES, RENDER_QUEUES, WEBHOOK_QUEUE
from pipeline.settings import Settings
from pipeline.webhooks.slots import Slots


@pytest.mark.parametrize(
    ("queues", "threads", "prefetch", "webhooks", "bundles"),
    [
        (None, 6, 4, 3, 2),
        (None, 3, 3, 1, 1),
        (None, 1, 1, 1, 1),
        ({*RENDER_QUEUES, WEBHOOK_QUEUE}, 9, 8, 4, 4),
        ({WEBHOOK_QUEUE}, 4, 4, 4, None),
        ({*BUNDLE_QUEUES}, 5, 4, 2, None),
    ],
)
def test_webhooks_and_bundles_leave_threads_to_chunks(
    queues: set[str] | None, threads: int, prefetch: int, webhooks: int, bundles: int | None
) -> None:
    broker, slots = make_broker(Settings(), redis.Redis()), Slots(1)  # connects to nothing yet
    worker = Worker(broker, queues=queues, worker_threads=threads)
    worker.queue_prefetch = prefetch
    ThreadShares(broker, slots).before_worker_boot(broker, worker)
    limits = {} if bundles is None else dict.fromkeys(BUNDLE_QUEUES, bundles)
    assert broker.prefetch_limits == {WEBHOOK_QUEUE: webhooks, **limits}
    assert slots.capacity == webhooks
