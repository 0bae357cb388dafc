"""The record in S3 of how a job ended for good, from which a lost ledger is rebuilt.

The ledger marks each such end until its record is there, so that the sweep writes what whoever
ended the job could not.
"""

import structlog

from pipeline.errors import StoreUnavailableError
from pipeline.ledger.ledger import Ledger
from pipeline.model.jobs import JobStatus
from pipeline.model.records import Result
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import Staging

log = structlog.get_logger(__name__)


class EndRecords:
    """Writes the records; two who write one at once write the same.

    Args:
        ledger: knows how jobs ended.
        records: where that is written.
        staging: of chunks, which a job that has ended for good needs no more.
    """

    def __init__(self, ledger: Ledger, records: JobRecords, staging: Staging) -> None:
        self._ledger = ledger
        self._records = records
        self._staging = staging

    def write(self, task_id: str) -> bool:
        """Record how a job ended, if that is for good, and remove what is staged of it.

        The time is the ledger's, which names the callback about this end. False: there is no such
        end, or another one by now.

        Raises:
            UnavailableError: the sweep writes it.
            NewerVersionError: the job is a newer release's.
        """
        status = self._ledger.status(task_id)
        record = _record_of(status)
        if record is not None:
            self._records.write_result(task_id, record)
        # A re-run that has begun meanwhile stages its own chunks.
        stands = self._ledger.note_record(task_id, status.finished_at if status else None)
        if record is None or not stands:
            return False
        self._drop_staging(task_id)
        return True

    def _drop_staging(self, task_id: str) -> None:
        try:
            self._staging.drop(task_id)
        except StoreUnavailableError as error:
            log.warning("staging left behind", task_id=task_id, reason=str(error))


def _record_of(status: JobStatus | None) -> Result | None:
    """Return how a job ended; None while it may still end otherwise."""
    if status is None or status.finished_at is None:
        return None
    if status.state != "completed" and not status.closed:  # a dead letter put back opens it again
        return None
    return Result(
        state=status.state,
        finished_at=status.finished_at,
        bundle=status.bundle,
        error=status.error,
        error_code=status.error_code,
    )
