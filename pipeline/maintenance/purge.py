"""Purge: deletes an ended job before its retention period is over.

A tombstone replaces the job in the ledger first. While the tombstone exists, no process restores
the job from its objects in S3. Then the objects are deleted. If the process dies in between, or if
a late process writes an object again, the sweep deletes the objects.

The tombstone expires when the objects that were written before the purge would have expired too,
and no Idempotency-Key can name the job any more.
"""

import structlog

from pipeline.ledger.idempotency import LIFETIME
from pipeline.ledger.ledger import Ledger
from pipeline.settings import Settings
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import Staging

log = structlog.get_logger(__name__)

#: Milliseconds that a process has to delete the objects of a job, before the sweep deletes them.
_PATIENCE = 30_000
#: Largest number of jobs whose objects one sweep pass deletes.
_PURGES = 100


class Purger:
    """Purges jobs; several processes may purge the same job.

    Every method raises:
        UnavailableError: a backend is unavailable. The sweep completes a purge that has begun.
        NewerVersionError: a newer release has written the job.

    Args:
        settings: lifetime and deadline of jobs.
        ledger, records, staging: stores of the jobs.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, records: JobRecords, staging: Staging
    ) -> None:
        self._lifetime = settings.job_ttl_ms + settings.deadline_ms + LIFETIME
        self._ledger = ledger
        self._records = records
        self._staging = staging

    def purge(self, task_id: str, tenant: str) -> bool:
        """Delete a job and its objects; return False if the job is in flight."""
        due = self._ledger.purge_job(task_id, tenant, _PATIENCE, self._lifetime)
        if not due:
            return False
        self._staging.drop(task_id)
        self._records.delete_job(task_id)
        self._ledger.settle_purge(task_id, due)
        log.info("job purged", task_id=task_id)
        return True

    def owner(self, task_id: str) -> str | None:
        """Return the id of the tenant that owned a purged job; None if the job is not purged."""
        return self._ledger.purged_owner(task_id)

    def take_due(self) -> list[str]:
        """Return the task ids of purged jobs that may still have objects, for :meth:`finish`."""
        return self._ledger.take_purged(_PURGES, _PATIENCE)

    def finish(self, task_id: str) -> None:
        """Delete the objects of a purged job in place of a process that died or was late."""
        self.purge(task_id, self._ledger.owner(task_id))
