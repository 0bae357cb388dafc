"""Names of queues and actors."""

RENDER_QUEUE = "render"
#: Queue of jobs with one chunk, which do not wait behind large jobs.
EXPRESS_QUEUE = "express"
BUNDLE_QUEUE = "bundle"
#: Queues of jobs in flight; their messages are the backlog.
QUEUES = (RENDER_QUEUE, EXPRESS_QUEUE, BUNDLE_QUEUE)
#: Queue of the webhooks of ended jobs.
WEBHOOK_QUEUE = "webhook"
ALL_QUEUES = (*QUEUES, WEBHOOK_QUEUE)
RENDER_ACTOR = "render_chunk"
EXPRESS_ACTOR = "render_express"
BUNDLE_ACTOR = "bundle_job"
WEBHOOK_ACTOR = "send_callback"
