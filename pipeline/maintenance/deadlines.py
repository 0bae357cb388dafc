"""Failure of jobs past their deadline."""

from pipeline.ledger.ledger import Ledger
from pipeline.model.failure_reasons import DEADLINE, missed_deadline


def fail_late_job(ledger: Ledger, task_id: str, seconds: int) -> bool:
    """Fail a job past its deadline.

    Args:
        ledger: ledger that contains the job.
        task_id: the job.
        seconds: time that the job was given, in seconds.

    Returns:
        True if the job has failed because of its deadline, by this call or earlier.

    Raises:
        LedgerUnavailableError: Redis is unreachable.
    """
    result = ledger.fail_job(task_id, missed_deadline(seconds))
    return result is not None and result.error_code == DEADLINE
