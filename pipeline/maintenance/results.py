"""Result records in S3, from which the ends of jobs are restored if the ledger is lost.

The ledger marks each permanently ended job until its result record is written. If the process that
ended the job could not write the record, the sweep writes it.

A job that is retried is marked too. Its record is deleted before the retry, but a write of that
record may still be in progress and take effect later. The sweep deletes such a record, because the
job would be restored as failed if Redis lost its data during the re-run.
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
    """Writes result records; two processes that write the same record write the same content.

    Every method raises:
        UnavailableError: a backend is unavailable; the sweep writes the record later.
        NewerVersionError: a newer release has written the job.

    Args:
        ledger: source of the results of jobs.
        records: store of the result records.
        staging: staged chunks, which a permanently ended job no longer needs.
    """

    def __init__(self, ledger: Ledger, records: JobRecords, staging: Staging) -> None:
        self._ledger = ledger
        self._records = records
        self._staging = staging

    def write(self, task_id: str, result: Result, *, staged: bool = True) -> bool:
        """Write the result record of a permanently ended job, and delete its staged chunks.

        Args:
            task_id: id of the job.
            result: the result of the job.
            staged: whether the job may have staged chunks.

        Returns:
            False if the job has meanwhile been reopened or has ended differently, or if its bundle
            has been replaced.
        """
        self._records.write_result(task_id, result)
        # If the job was reopened meanwhile, its staged chunks belong to the re-run.
        if not self._ledger.note_record(task_id, result.finished_at, result.bundle):
            return False
        if staged:
            self._drop_staging(task_id)
        return True

    def write_or_leave(self, task_id: str, result: Result, *, staged: bool = True) -> None:
        """Write a result record as :meth:`write` does, or leave it to the sweep if S3 fails."""
        try:
            self.write(task_id, result, staged=staged)
        except StoreUnavailableError as error:
            log.warning("result not recorded", task_id=task_id, reason=str(error))

    def write_late(self, task_id: str) -> bool:
        """Write a missing result record in place of the process that ended the job.

        The record of a job that may still end differently is deleted.

        Returns:
            False if the job has not ended permanently, or has meanwhile ended differently.
        """
        status = self._ledger.status(task_id)
        result = _final_result(status)
        if result is not None:
            return self.write(task_id, result)
        if status is not None:
            self._records.delete_result(task_id)
        # If the job has ended since its status was read, the deletion may have hit its record. The
        # job then stays marked, and its record is written again.
        self._ledger.note_record(task_id, status.finished_at if status else None)
        return False

    def _drop_staging(self, task_id: str) -> None:
        try:
            self._staging.drop(task_id)
        except StoreUnavailableError as error:
            log.warning("staging not deleted", task_id=task_id, reason=str(error))


def _final_result(status: JobStatus | None) -> Result | None:
    """Return the result of a job, or None while the job may still end differently."""
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
