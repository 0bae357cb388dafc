"""Reasons why a job fails: the error codes in responses, logs and metrics, and their texts.

The codes are part of the HTTP contract and are labels of metrics, so they do not change.
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
UNVERIFIED = "unverified"
BUNDLE_FAILED = "bundle_failed"

#: Text of each error code with which an attempt can fail: a clause that clients are shown.
REASONS = {
    STORAGE_UNAVAILABLE: "the object store did not respond",
    OBJECT_MISSING: "an object it needs is missing from the object store",
    LEDGER_UNAVAILABLE: "the ledger did not respond",
    BROKER_UNAVAILABLE: "the broker did not accept a message",
    TIME_LIMIT: "it exceeded its time limit",
    RENDER_FAILED: "its symbols could not be rendered",
    UNVERIFIED: "a symbol, read back from its image, differs from its item",
    BUNDLE_FAILED: "the archive could not be written",
}
#: Codes that do not fail the job: Redis or the broker was unavailable, and the sweep enqueues the
#: chunk or bundle again.
FAILS_NO_JOB = frozenset({LEDGER_UNAVAILABLE, BROKER_UNAVAILABLE})
#: The codes that a failed job can have.
JOB_ERROR_CODES = frozenset({CANCELLED, DEADLINE, WORKER_CRASHED} | (REASONS.keys() - FAILS_NO_JOB))


class Failure(NamedTuple):
    """The reason why a job fails.

    Attributes:
        code: the error code, for programs.
        detail: the explanation, for people.
        final: True if the job can be reopened by a retry request but by no message.
    """

    code: str
    detail: str
    final: bool = False


#: A client or an operator cancelled the job.
CANCELLED_BY_REQUEST = Failure(CANCELLED, "The task was cancelled by request.", final=True)


def missed_deadline(seconds: int) -> Failure:
    """Return the failure of a job that has not ended within ``seconds``."""
    return Failure(DEADLINE, f"The task did not end within {seconds} seconds.", final=True)


def crashed_each_time(chunk_index: int, attempts: int) -> Failure:
    """Return the failure of a job with a chunk that killed its worker ``attempts`` times."""
    detail = (
        f"Chunk {chunk_index} was started {attempts} times and never finished: its worker died "
        "each time."
    )
    return Failure(WORKER_CRASHED, detail)
