"""Accepted jobs: their status, lists, re-runs, cancellation and purge."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec
import structlog

from pipeline.auth.api_key import ApiKey
from pipeline.auth.item_limits import ItemLimits
from pipeline.broker.backlog import Backlog
from pipeline.broker.dispatcher import Dispatcher
from pipeline.errors import BrokerUnavailableError, UnreadableError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.listing import ChunkStatus, JobFilter, JobPage, Listing, Position
from pipeline.ledger.waiters import CompletionWaiters, WaitResult
from pipeline.maintenance.purge import Purger
from pipeline.maintenance.restore_job import Recovery
from pipeline.maintenance.results import ResultRecorder
from pipeline.model.failure_reasons import CANCELLED_BY_REQUEST
from pipeline.model.jobs import JobStatus
from pipeline.storage.records import JobRecords
from pipeline.webhooks.schedule import Callbacks

log = structlog.get_logger(__name__)


class NotPossibleError(Exception):
    """Raised when the state of a job forbids an action; the message states the reason."""


class Jobs:
    """Accepted jobs, as seen with an API key.

    Every method raises:
        UnavailableError: If a backend is unavailable; a retry may succeed later.

    Args:
        ledger, records: the state of jobs in Redis, and their records in S3.
        dispatcher: sends the messages of a re-run.
        backlog: limits the number of waiting messages of each tenant.
        item_limits: limits the items of each API key.
        recovery: restores jobs that Redis has lost.
        results: writes result records.
        listing: lists jobs and chunks.
        waiters: wakes long polls when a job ends.
        callbacks: enqueues the webhooks of ended jobs.
        purger: deletes ended jobs.
        deadline: milliseconds within which a re-run must end.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: JobRecords,
        dispatcher: Dispatcher,
        backlog: Backlog,
        *,
        item_limits: ItemLimits,
        recovery: Recovery,
        results: ResultRecorder,
        listing: Listing,
        waiters: CompletionWaiters,
        callbacks: Callbacks,
        purger: Purger,
        deadline: int,
    ) -> None:
        self._ledger = ledger
        self._records = records
        self._dispatcher = dispatcher
        self._backlog = backlog
        self._item_limits = item_limits
        self._recovery = recovery
        self._results = results
        self._listing = listing
        self._waiters = waiters
        self._callbacks = callbacks
        self._purger = purger
        self._deadline = deadline

    def status(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Return the status of a job; None if there is no job that ``key`` may see.

        A job that Redis has lost is restored from S3 first.

        Raises:
            UnreadableError: If Redis has lost the job, and its objects in S3 are damaged.
        """
        found = self._ledger.status(task_id)
        if found is None and self._restore(task_id, key):
            found = self._ledger.status(task_id)
        return found if found is not None and _may_see(key, found.key_id) else None

    def _restore(self, task_id: str, key: ApiKey) -> bool:
        try:
            return self._recovery.restore(task_id)
        except UnreadableError as error:
            if error.key_id is not None and not _may_see(key, error.key_id):
                return False
            raise

    def wait(self, task_id: str, key: ApiKey, seconds: float) -> WaitResult:
        """Wait until a job has ended, for at most ``seconds``, and return its :meth:`status`.

        Returns immediately if ``QRMILL_LONG_POLLS`` callers of this process are waiting already.
        """
        return self._waiters.wait(task_id, seconds, lambda: self.status(task_id, key))

    def stop_waiting(self) -> None:
        """Make all waiting calls return. Safe in a signal handler, because it only sets flags."""
        self._waiters.close()

    def list(self, wanted: JobFilter, key: ApiKey, limit: int, after: Position | None) -> JobPage:
        """Return a page of jobs; a client sees its tenant's jobs, an operator sees all jobs."""
        if key.role != "operator":
            wanted = msgspec.structs.replace(wanted, tenant=key.tenant)
        return self._listing.jobs(wanted, limit, after)

    def chunks(
        self, task_id: str, key: ApiKey, first: int, limit: int
    ) -> Sequence[ChunkStatus] | None:
        """Return a page of a job's chunks, from index ``first``.

        Returns None if there is no job that ``key`` may see.
        """
        found = self.status(task_id, key)
        return None if found is None else self._listing.chunks(found, first, limit)

    def retry(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Re-run a failed job: render the chunks that are not staged.

        Returns:
            The job's new status; None if there is no job that ``key`` may see.

        Raises:
            NotPossibleError: If the job has not failed, or is being deleted.
            BacklogFullError: If too many messages of the job's tenant are waiting.
            ItemLimitError: If ``key`` may not send so many items now.
        """
        found = self.status(task_id, key)
        if found is None:
            return None
        chunks = None
        if found.state == "failed":
            self._backlog.admit(max(1, found.chunks - found.staged), found.key_id)
            self._item_limits.take(key, found.items - found.processed_items)
            self._records.delete_end(task_id)
            chunks = self._ledger.retry_job(task_id, self._deadline)
        if chunks is None:
            if found.state == "failed":  # it is being deleted, or another request has reopened it
                self._item_limits.give_back(key, found.items - found.processed_items)
            raise NotPossibleError(
                "There is nothing to re-run: the task has not failed, or is being deleted."
            )
        # If the broker is unavailable, the sweep finds the job and enqueues its chunks.
        with suppress(BrokerUnavailableError):
            if chunks:
                self._dispatcher.send_chunks(task_id, chunks, found.key_id)
            else:
                self._dispatcher.send_bundle(task_id, found.key_id)
        log.info("job reopened", task_id=task_id, chunks=len(chunks))
        return self._ledger.status(task_id)

    def cancel(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Cancel a job in flight; cancelling it again has no effect.

        Returns:
            The job's new status; None if there is no job that ``key`` may see.

        Raises:
            NotPossibleError: If the job has already ended in another way.
        """
        found = self.status(task_id, key)
        if found is None:
            return None
        result = self._ledger.fail_job(task_id, CANCELLED_BY_REQUEST)
        if result is None or result.error_code != CANCELLED_BY_REQUEST.code:
            raise NotPossibleError("The task has ended already; there is nothing to cancel.")
        self._results.write_or_leave(task_id, result)
        if found.callback_url:
            self._callbacks.enqueue(task_id)
        log.info("job cancelled", task_id=task_id)
        return self._ledger.status(task_id)

    def purge(self, task_id: str, key: ApiKey) -> bool:
        """Delete an ended job: its bundle, its request and its records.

        Purging a job again has no effect while its tombstone exists.

        Returns:
            False if there is no job that ``key`` may see.

        Raises:
            NotPossibleError: If the job is in flight; it is not cancelled.
        """
        found = self.status(task_id, key)
        owner = found.key_id if found is not None else self._purger.owner(task_id)
        if owner is None or not _may_see(key, owner):
            return False
        if not self._purger.purge(task_id, owner):
            raise NotPossibleError(
                "The task has not ended. Only ended tasks can be purged: cancel the task first, "
                "or wait until it ends."
            )
        return True


def _may_see(key: ApiKey, owner: str) -> bool:
    """Return whether a key may see the jobs of an owner, as their records name it.

    Release 0.2.0 knows no tenants: the jobs that it accepts belong to the key that sent them, which
    may be a later key of a tenant.
    """
    return key.role == "operator" or owner in {key.tenant, key.key_id}
