"""The states of jobs and callbacks, and the one table of the states that follow.

A job is one accepted request. Its life:

===========  ==========  ==========================================================
state        event       who moves a job here
===========  ==========  ==========================================================
pending      —           ``Submission.submit``, when the request is safe in S3
pending      retry       ``Jobs.retry``, a failed job
running      begin       the first ``render_chunk`` that begins a chunk
running      reopen      ``render_chunk``, the last of a failed job's failed chunks, when its dead
                         letter was put back and it is staged
completed    complete    ``bundle_job``, when the bundle's upload is complete
failed       fail        a chunk or the bundling that failed for good; ``Jobs.cancel``; the
                         sweep, when the deadline has passed
===========  ==========  ==========================================================

The ledger carries :data:`TRANSITIONS` into its scripts, so that there is one table and no second
opinion.
"""

from typing import Literal

State = Literal["pending", "running", "completed", "failed"]
ChunkState = Literal["pending", "running", "staged", "failed"]
CallbackState = Literal["pending", "delivered", "failed"]
Event = Literal["begin", "complete", "fail", "reopen", "retry"]

#: (state, event) -> the state that follows. A pair that is not here changes nothing: it is what is
#: left of a message that came late or twice.
TRANSITIONS: dict[tuple[State, Event], State] = {
    ("pending", "begin"): "running",
    ("pending", "fail"): "failed",
    ("running", "complete"): "completed",
    ("running", "fail"): "failed",
    ("failed", "reopen"): "running",
    ("failed", "retry"): "pending",
}
TERMINAL: frozenset[State] = frozenset({"completed", "failed"})

#: Upper bounds in seconds of the classes in which the ledger counts how long jobs took.
DURATION_BOUNDS = (0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600)
