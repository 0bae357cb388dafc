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

#: Jobs removed in one sweep at most: with four objects each, one request removes them.
_REMOVALS = 250
#: Milliseconds that the process which ends a job has to record that before the sweep does, and how
#: many ends are recorded in one sweep at most.
_UNRECORDED, _RECORDS = 10_000, 250


class Retention:
    """The housekeeping; it stops when the sweep's lease is lost.

    Every method raises:
        UnavailableError: what was done is done.

    Args:
        settings: lease and lifetime of jobs.
        ledger, records, staging: where jobs are.
        results: records how jobs ended.
        lease: the sweep's.
        newer: leaves jobs of a newer release alone.
        metrics: counts what was removed.
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
        """Record in S3 how ``late`` jobs ended, and ends that were not recorded in time."""
        left = self._ledger.take_unrecorded(_RECORDS, self._settings.lease_ms, _UNRECORDED)
        for task_id in (*late, *left):
            if not self._lease.hold():  # with an S3 that is slow it may take longer than one lease
                return
            with self._newer.left(task_id):
                if self._results.write_late(task_id):
                    log.info("result recorded", task_id=task_id)

    def remove_expired_jobs(self) -> None:
        """Remove jobs that have outlived their time, from S3 first: then none is forgotten there.

        What a bundler that died has left staged is removed by the next reconciliation.
        """
        when = time.time_ns() // 1_000_000 - self._settings.job_ttl_ms
        expired = {}
        for task_id, state, key_id in self._ledger.claim_expired(when, _REMOVALS):
            if not self._lease.hold():  # as above
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
