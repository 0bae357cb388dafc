"""The names of queues and actors."""

RENDER_QUEUE = "render"
#: Jobs of one chunk: they do not wait behind large ones.
EXPRESS_QUEUE = "express"
BUNDLE_QUEUE = "bundle"
#: The queues of jobs in flight: what waits in them is the backlog.
QUEUES = (RENDER_QUEUE, EXPRESS_QUEUE, BUNDLE_QUEUE)
#: Callbacks about jobs that have ended.
WEBHOOK_QUEUE = "webhook"
ALL_QUEUES = (*QUEUES, WEBHOOK_QUEUE)
RENDER_ACTOR = "render_chunk"
EXPRESS_ACTOR = "render_express"
BUNDLE_ACTOR = "bundle_job"
WEBHOOK_ACTOR = "send_callback"
