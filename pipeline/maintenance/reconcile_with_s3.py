"""Reconciliation of S3 with the ledger: restores jobs that Redis lost, deletes orphaned objects.

The reconciliation works page by page. One page of S3's listing names at most 1000 jobs, and one
command to Redis returns their states. A job in flight takes one more request to S3, and only a job
that Redis does not know takes more. With many jobs a reconciliation takes hours, but it never has
more than one page of jobs in memory, and its caller can do other work between two steps.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import structlog

from pipeline.errors import ObjectMissingError, UnreadableError
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.newer_versions import NewerVersions
from pipeline.maintenance.purge import Purger
from pipeline.maintenance.restore_job import Recovery
from pipeline.model.states import PURGED, TERMINAL
from pipeline.monitoring.metrics import SweepMetrics
from pipeline.settings import Settings
from pipeline.storage.bucket import Bucket
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import Staging

log = structlog.get_logger(__name__)

#: Seconds between reconciliations.
PERIOD = 3600.0
#: Seconds until the next reconciliation after a failover of Redis. In a network partition, clients
#: that were cut off together with the former master may still have created jobs there. Only S3 has
#: these jobs.
PERIOD_AFTER_FAILOVER = 60.0


class Reconciler:
    """Compares S3 with the ledger; concurrent reconciliations are harmless, but repeat the work.

    Args:
        settings: deadline and lifetime of jobs.
        ledger, records, staging: stores that are compared.
        staging_bucket: lists the jobs that have staged chunks.
        recovery: restores jobs.
        metrics: counts the restored jobs.
        newer: skips jobs of a newer release.
        purger: deletes the objects of purged jobs.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        records: JobRecords,
        staging: Staging,
        *,
        staging_bucket: Bucket,
        recovery: Recovery,
        metrics: SweepMetrics,
        newer: NewerVersions,
        purger: Purger,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._records = records
        self._staging = staging
        self._staging_bucket = staging_bucket
        self._recovery = recovery
        self._metrics = metrics
        self._newer = newer
        self._purger = purger

    def steps(self) -> Iterator[None]:
        """Reconcile all jobs, and yield after each job.

        Raises:
            UnavailableError: a backend is unavailable. Completed steps stay done, and the next
                reconciliation starts from the beginning.
        """
        for task_id, state in self._with_states(self._records.list_jobs()):
            if state is None or state not in TERMINAL:
                with self._newer.left(task_id):
                    self._reconcile(task_id, state)
            yield
        self._records.abort_uploads(
            datetime.now(UTC) - timedelta(seconds=self._settings.job_deadline)
        )
        yield
        for task_id, state in self._with_states(self._staging_bucket.list_folders("")):
            if state in {None, "completed", PURGED}:
                with self._newer.left(task_id):
                    self._drop_orphaned_staging(task_id)
            yield

    def _with_states(self, pages: Iterable[list[str]]) -> Iterator[tuple[str, str | None]]:
        """Yield the task ids of ``pages``, each with the job's state in the ledger."""
        for task_ids in pages:
            yield from zip(task_ids, self._ledger.states(task_ids), strict=True)

    def _reconcile(self, task_id: str, state: str | None) -> None:
        """Restore a lost job or its lost result, or delete the objects of an expired or purged job.

        Args:
            task_id: the job.
            state: its state when its page was read, or None if Redis did not know the job. The
                restoration of a result checks the current state in one atomic step.
        """
        if state == PURGED:
            self._purger.finish(task_id)
            return
        if state is not None:
            self._restore(task_id, self._recovery.restore_result)
            return
        if self._ledger.status(task_id) is not None:  # it was accepted since its page was read
            return
        written_at = self._records.written_at(task_id)
        longest = timedelta(seconds=self._settings.job_ttl + self._settings.job_deadline)
        if written_at and written_at < datetime.now(UTC) - longest:
            self._staging.drop(task_id)
            self._records.delete_job(task_id)
        else:
            self._restore(task_id, self._recovery.restore)

    def _restore(self, task_id: str, restore: Callable[[str], bool]) -> None:
        try:
            if restore(task_id):
                self._metrics.count("revived")
        except ObjectMissingError:  # the job is being deleted or reopened right now
            return
        except UnreadableError as error:
            # A damaged job must not prevent others from being restored. It is deleted on expiry.
            log.error("job unreadable in S3", task_id=task_id, reason=str(error))  # noqa: TRY400 - the message suffices

    def _drop_orphaned_staging(self, task_id: str) -> None:
        # Check again, because the job may have been restored since its page was read.
        status = self._ledger.status(task_id)
        if status is None or status.state == "completed":
            self._staging.drop(task_id)
