"""States of jobs, chunks and webhooks, and the transitions between the states of a job.

===========  ==========  =======================================================================
state        event       what moves a job to this state
===========  ==========  =======================================================================
pending      (created)   ``Submission.submit``, after the request object was written to S3
pending      retry       ``Jobs.retry``, which re-runs a failed job
running      begin       ``render_chunk``, when the job's first chunk begins
running      reopen      ``render_chunk``, when the last failed chunk of a failed job is staged,
                         after its dead letter was requeued
completed    complete    ``bundle_job``, or ``render_chunk`` for a job of one chunk, after the
                         upload of the bundle
failed       fail        a chunk or the bundling that failed permanently; ``Jobs.cancel``; the
                         sweep, after the deadline
===========  ==========  =======================================================================

The ledger passes :data:`TRANSITIONS` to its Lua scripts, so that the table exists only once.
"""

from typing import Literal

State = Literal["pending", "running", "completed", "failed"]
ChunkState = Literal["pending", "running", "staged", "failed"]
CallbackState = Literal["pending", "delivered", "failed"]
Event = Literal["begin", "complete", "fail", "reopen", "retry"]

#: (state, event) -> the next state. An event without an entry changes nothing: such an
#: event comes from a message that was delivered late or twice.
TRANSITIONS: dict[tuple[State, Event], State] = {
    ("pending", "begin"): "running",
    ("pending", "fail"): "failed",
    ("running", "complete"): "completed",
    ("running", "fail"): "failed",
    ("failed", "reopen"): "running",
    ("failed", "retry"): "pending",
}
#: State of the tombstone that a purged job leaves in the ledger; not a state of a job.
PURGED = "purged"
TERMINAL: frozenset[State] = frozenset({"completed", "failed"})

#: Upper bounds, in seconds, of the histogram buckets in which the ledger counts job durations.
DURATION_BOUNDS = (0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
