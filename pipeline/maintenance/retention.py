"""What is left to do when jobs have ended: telling S3 how, and removing what outlived its time."""

import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

import structlog

from pipeline.errors import NewerVersionError
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.results import EndRecords
from pipeline.monitoring.metrics import SweepMetrics
from pipeline.settings import Settings
from pipeline.storage.bucket import Bucket
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import drop_staged, make_staging

log = structlog.get_logger(__name__)

#: Jobs removed in one sweep at most: with four objects each, one request removes them.
_REMOVALS = 250
#: Milliseconds that whoever ends a job has to tell S3 of it before the sweep does, and how many
#: ends it tells in one sweep at most.
_UNRECORDED, _RECORDS = 10_000, 250


class Tidier:
    """Does that for the sweep.

    Every method raises:
        UnavailableError: what was done is done.

    Args:
        settings: lease and lifetime of jobs, kind of staging.
        ledger, records, staging_bucket: where jobs are.
        metrics: counts what was removed.
        hold_lease: keeps the sweep's lease; False when another has it.
        left_if_newer: a block about a job of a newer version is left by it.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        records: JobRecords,
        staging_bucket: Bucket,
        *,
        metrics: SweepMetrics,
        hold_lease: Callable[[], bool],
        left_if_newer: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._records = records
        self._staging_bucket = staging_bucket
        staging = make_staging(settings.staging, staging_bucket)
        self._end_records = EndRecords(ledger, records, staging)
        self._metrics = metrics
        self._hold_lease = hold_lease
        self._left_if_newer = left_if_newer

    def record_ends(self, late: Iterable[str]) -> None:
        """Tell S3 of jobs that were late, and of ends of which nobody told it in time."""
        left = self._ledger.take_unrecorded(_RECORDS, self._settings.lease * 1000, _UNRECORDED)
        for task_id in (*late, *left):
            if not self._hold_lease():  # with an S3 that is slow it may take longer than one lease
                return
            with self._left_if_newer(task_id):
                if self._end_records.write(task_id):
                    log.info("end recorded", task_id=task_id)

    def remove_old_jobs(self) -> None:
        """Remove jobs that have outlived their time, from S3 first: then none is forgotten there.

        What a bundler that died has left staged is removed by the next comparison.
        """
        when = time.time_ns() // 1_000_000 - self._settings.job_ttl * 1000
        old = {}
        for task_id, state, key_id in self._ledger.take_old(when, _REMOVALS):
            if not self._hold_lease():  # as above
                return
            with self._left_if_newer(task_id):
                if state == "newer":
                    raise NewerVersionError(f"the ledger entry of {task_id} is a newer release's")
                if state != "completed":
                    drop_staged(self._staging_bucket, task_id)
                old[task_id] = key_id
        self._records.delete_jobs(old)
        for task_id, key_id in old.items():
            self._ledger.discard_job(task_id, key_id)
            self._metrics.count("removed")
            log.info("job removed", task_id=task_id)
