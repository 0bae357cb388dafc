"""Housekeeping after jobs end: write missing result records to S3 and delete expired jobs."""

import time
from collections.abc import Iterable

import structlog

from pipeline.errors import NewerVersionError
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.lease import SweepLease
from pipeline.maintenance.newer_versions import NewerVersions
from pipeline.maintenance.results import ResultRecorder
from pipeline.monitoring.metrics import SweepMetrics
from pipeline.settings import Settings
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import Staging

log = structlog.get_logger(__name__)

#: Largest number of jobs deleted per sweep pass. With four objects per job these are 1000 objects,
#: which one S3 request deletes.
_REMOVALS = 250
#: Milliseconds that the process that ended a job has to write the result record; after that time
#: the sweep writes the record. Largest number of result records that one sweep pass writes.
_UNRECORDED, _RECORDS = 10_000, 250


class Retention:
    """Housekeeping that stops as soon as the sweep loses its lease.

    Every method raises:
        UnavailableError: a backend is unavailable; completed work stays done.

    Args:
        settings: lease and lifetime of jobs.
        ledger, records, staging: stores of the jobs.
        results: writes result records.
        lease: lease of the sweep.
        newer: skips jobs of a newer release.
        metrics: counts the deleted jobs.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        records: JobRecords,
        staging: Staging,
        *,
        results: ResultRecorder,
        lease: SweepLease,
        newer: NewerVersions,
        metrics: SweepMetrics,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._records = records
        self._staging = staging
        self._results = results
        self._lease = lease
        self._newer = newer
        self._metrics = metrics

    def record_ends(self, late: Iterable[str]) -> None:
        """Write missing result records to S3.

        Args:
            late: task ids of jobs that have just failed because of their deadline. Records that
                other processes have not written in time are written too.
        """
        left = self._ledger.take_unrecorded(_RECORDS, self._settings.lease_ms, _UNRECORDED)
        for task_id in (*late, *left):
            if not self._lease.held:
                return
            with self._newer.left(task_id):
                if self._results.write_late(task_id):
                    log.info("result recorded", task_id=task_id)

    def remove_expired_jobs(self) -> None:
        """Delete expired jobs, from S3 first so that no object is left without a ledger entry.

        Chunks that a crashed bundler left staged are deleted by the next reconciliation.
        """
        when = time.time_ns() // 1_000_000 - self._settings.job_ttl_ms
        expired = {}
        for task_id, state, key_id in self._ledger.claim_expired(when, _REMOVALS):
            if not self._lease.held:
                return
            with self._newer.left(task_id):
                if state == "newer":
                    raise NewerVersionError(f"the ledger entry of {task_id} has a newer version")
                if state != "completed":
                    self._staging.drop(task_id)
                expired[task_id] = key_id
        self._records.delete_jobs(expired)
        for task_id, key_id in expired.items():
            self._ledger.discard_job(task_id, key_id)
            self._metrics.count("removed")
            log.info("job deleted", task_id=task_id)
