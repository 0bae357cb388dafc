"""Compare S3 with the ledger: restore jobs that Redis has lost, delete orphaned objects.

It goes by pages: one page of S3's listing names at most 1000 jobs, and one question to Redis tells
their states. Only jobs that have not ended, or that Redis does not know, cost requests of their
own. So a comparison of so many jobs that it takes hours is never more than a page of them in
memory, and one who drives it can do other things between two steps.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import structlog

from pipeline.errors import ObjectMissingError, UnreadableError
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.newer_versions import NewerVersions
from pipeline.maintenance.restore_job import Recovery
from pipeline.model.states import TERMINAL
from pipeline.monitoring.metrics import SweepMetrics
from pipeline.settings import Settings
from pipeline.storage.bucket import Bucket
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import Staging

log = structlog.get_logger(__name__)

#: Seconds between comparisons.
PERIOD = 3600.0
#: Seconds until the next one when another server answers: the one before may have taken jobs, from
#: those who were cut off with it, until it noticed that it is the master no more.
PERIOD_AFTER_FAILOVER = 60.0


class Reconciler:
    """Compares S3 with the ledger; two at once do no harm, but the work twice.

    Args:
        settings: deadline and lifetime of jobs.
        ledger, records, staging: what is compared.
        staging_bucket: lists the jobs of which something is staged.
        recovery: brings jobs back.
        metrics: counts these.
        newer: leaves jobs of a newer release alone.
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
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._records = records
        self._staging = staging
        self._staging_bucket = staging_bucket
        self._recovery = recovery
        self._metrics = metrics
        self._newer = newer

    def steps(self) -> Iterator[None]:
        """Compare, and yield after each job; few of them have to be looked at.

        Raises:
            UnavailableError: what was done is done; the next one begins from the start.
        """
        for task_id, state in self._known(self._records.list_jobs()):
            if state is None or state not in TERMINAL:
                with self._newer.left(task_id):
                    self._reconcile(task_id)
            yield
        self._records.abort_uploads(
            datetime.now(UTC) - timedelta(seconds=self._settings.job_deadline)
        )
        yield
        for task_id, state in self._known(self._staging_bucket.list_folders("")):
            if state is None or state == "completed":
                with self._newer.left(task_id):
                    self._drop_orphaned_staging(task_id)
            yield

    def _known(self, pages: Iterable[list[str]]) -> Iterator[tuple[str, str | None]]:
        """Yield the task ids of ``pages``, each with the state that the ledger has of it."""
        for task_ids in pages:
            yield from zip(task_ids, self._ledger.states(task_ids), strict=True)

    def _reconcile(self, task_id: str) -> None:
        """Bring back what Redis has lost of a job, or remove one that outlived all that knew it."""
        status = self._ledger.status(task_id)
        if status is not None:
            if status.state not in TERMINAL:
                self._restore(task_id, self._recovery.restore_result)
            return
        written_at = self._records.written_at(task_id)
        longest = timedelta(seconds=self._settings.job_ttl + self._settings.job_deadline)
        if written_at and written_at < datetime.now(UTC) - longest:
            self._staging.drop(task_id)
            self._records.delete_job(task_id)
        else:
            self._restore(task_id, self._recovery.restore)

    def _restore(self, task_id: str, bring: Callable[[str], bool]) -> None:
        try:
            if bring(task_id):
                self._metrics.count("revived")
        except ObjectMissingError:  # it is removed, or opened again, in this very moment
            return
        except UnreadableError as error:
            # One damaged job keeps no other from coming back; it is removed when its time is over.
            log.error("job unreadable in S3", task_id=task_id, reason=str(error))  # noqa: TRY400 - the message says all

    def _drop_orphaned_staging(self, task_id: str) -> None:
        # Asked again: since its page was, it may have come back.
        status = self._ledger.status(task_id)
        if status is None or status.state == "completed":
            self._staging.drop(task_id)
