"""Deadlines: a job that has not ended in time fails."""

from pipeline.ledger.ledger import Ledger
from pipeline.model.failure_reasons import DEADLINE, missed_deadline


def fail_late_job(ledger: Ledger, task_id: str, seconds: int) -> bool:
    """Fail a job that has passed its deadline.

    Args:
        ledger: knows the job.
        task_id: the job.
        seconds: that it had.

    Returns:
        Whether it has failed for that reason, by this or before.

    Raises:
        LedgerUnavailableError: Redis is out of reach.
    """
    result = ledger.fail_job(task_id, missed_deadline(seconds))
    return result is not None and result.error_code == DEADLINE
