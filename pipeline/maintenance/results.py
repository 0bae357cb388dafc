"""The record in S3 of how a job ended permanently, from which a lost ledger is rebuilt.

The ledger marks each such end until its record is there, so that the sweep writes what the process
that ended the job could not.
"""

import structlog

from pipeline.errors import StoreUnavailableError
from pipeline.ledger.ledger import Ledger
from pipeline.model.jobs import JobStatus
from pipeline.model.records import Result
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import Staging

log = structlog.get_logger(__name__)


class ResultRecorder:
    """Writes the records; two processes that write one at once write the same.

    Every method raises:
        UnavailableError: the sweep writes it later.
        NewerVersionError: the job is a newer release's.

    Args:
        ledger: knows how jobs ended.
        records: where that is written.
        staging: of chunks, which a job that has ended for good needs no more.
    """

    def __init__(self, ledger: Ledger, records: JobRecords, staging: Staging) -> None:
        self._ledger = ledger
        self._records = records
        self._staging = staging

    def write(self, task_id: str, result: Result) -> bool:
        """Record how a job ended for good, and remove what is staged of it.

        Returns:
            False if the job has been opened again or has ended otherwise meanwhile.
        """
        self._records.write_result(task_id, result)
        # A re-run that has begun meanwhile stages its own chunks.
        if not self._ledger.note_record(task_id, result.finished_at):
            return False
        self._drop_staging(task_id)
        return True

    def write_late(self, task_id: str) -> bool:
        """Record how a job ended that the process which ended it did not record.

        Returns:
            False if the job has no such end, or another one by now.
        """
        status = self._ledger.status(task_id)
        result = _final_result(status)
        if result is None:
            self._ledger.note_record(task_id, status.finished_at if status else None)
            return False
        return self.write(task_id, result)

    def _drop_staging(self, task_id: str) -> None:
        try:
            self._staging.drop(task_id)
        except StoreUnavailableError as error:
            log.warning("staging not deleted", task_id=task_id, reason=str(error))


def _final_result(status: JobStatus | None) -> Result | None:
    """Return how a job ended; None while it may still end otherwise."""
    if status is None or status.finished_at is None:
        return None
    if status.state != "completed" and not status.final:  # a requeued dead letter reopens it
        return None
    return Result(
        state=status.state,
        finished_at=status.finished_at,
        bundle=status.bundle,
        error=status.error,
        error_code=status.error_code,
    )
