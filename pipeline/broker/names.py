"""Names of queues and actors."""

#: Number of queues that chunks, and likewise bundles, are divided among, by tenant. A worker takes
#: turns with the queues, so a tenant's messages wait only behind those of tenants with the same
#: queue.
LANES = 4
RENDER_QUEUE = "render"
#: Queue of jobs with one chunk, which do not wait behind large jobs.
EXPRESS_QUEUE = "express"
BUNDLE_QUEUE = "bundle"


def _lanes(queue: str) -> tuple[str, ...]:
    return (queue, *(f"{queue}-{number}" for number in range(2, LANES + 1)))


RENDER_QUEUES, EXPRESS_QUEUES = _lanes(RENDER_QUEUE), _lanes(EXPRESS_QUEUE)
BUNDLE_QUEUES = _lanes(BUNDLE_QUEUE)
#: Queues of jobs in flight; their messages are the backlog.
QUEUES = (*RENDER_QUEUES, *EXPRESS_QUEUES, *BUNDLE_QUEUES)
#: Queue of the webhooks of ended jobs.
WEBHOOK_QUEUE = "webhook"
ALL_QUEUES = (*QUEUES, WEBHOOK_QUEUE)
#: The queues that every release has.
FIRST_LANES = (RENDER_QUEUE, EXPRESS_QUEUE, BUNDLE_QUEUE, WEBHOOK_QUEUE)
RENDER_ACTOR = "render_chunk"
EXPRESS_ACTOR = "render_express"
BUNDLE_ACTOR = "bundle_job"
WEBHOOK_ACTOR = "send_callback"
