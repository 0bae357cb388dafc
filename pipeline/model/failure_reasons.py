"""Why a job fails: the error codes of polls, logs and metrics, and their words.

The codes are part of the HTTP contract and labels of metrics: they do not change.
"""

from typing import NamedTuple

CANCELLED = "cancelled"
DEADLINE = "deadline"
WORKER_CRASHED = "worker_crashed"
STORAGE_UNAVAILABLE = "storage_unavailable"
OBJECT_MISSING = "object_missing"
LEDGER_UNAVAILABLE = "ledger_unavailable"
BROKER_UNAVAILABLE = "broker_unavailable"
TIME_LIMIT = "time_limit"
RENDER_FAILED = "render_failed"
BUNDLE_FAILED = "bundle_failed"

#: Why an attempt failed, in words for clients.
REASONS = {
    STORAGE_UNAVAILABLE: "the object store did not answer",
    OBJECT_MISSING: "an object it needs is no longer in the object store",
    LEDGER_UNAVAILABLE: "the ledger did not answer",
    BROKER_UNAVAILABLE: "the broker did not take a message",
    TIME_LIMIT: "it took longer than it may",
    RENDER_FAILED: "its symbols could not be rendered",
    BUNDLE_FAILED: "the archive could not be written",
}
#: What failed because Redis or the broker was away did not fail; the sweep enqueues it again.
FAILS_NO_JOB = frozenset({LEDGER_UNAVAILABLE, BROKER_UNAVAILABLE})
#: The codes that a failed job can have.
JOB_ERROR_CODES = frozenset({CANCELLED, DEADLINE, WORKER_CRASHED} | (REASONS.keys() - FAILS_NO_JOB))


class Failure(NamedTuple):
    """Why a job fails.

    Attributes:
        code: for programs.
        detail: for people.
        final: no message may reopen the job; only a retry does.
    """

    code: str
    detail: str
    final: bool = False


#: A client or an operator cancelled the job.
CANCELLED_BY_REQUEST = Failure(CANCELLED, "It was cancelled by request.", final=True)


def missed_deadline(seconds: int) -> Failure:
    """Return the failure of a job that has not ended within ``seconds``."""
    return Failure(DEADLINE, f"It did not end within {seconds} seconds.", final=True)


def crashed_each_time(chunk_index: int, attempts: int) -> Failure:
    """Return the failure of a job one of whose chunks has ended a worker ``attempts`` times."""
    detail = (
        f"Chunk {chunk_index} was begun {attempts} times and never ended: its worker died each "
        "time."
    )
    return Failure(WORKER_CRASHED, detail)
