"""Accepted jobs: their status, lists, re-runs and cancellation."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec
import structlog

from pipeline.auth.api_keys import ApiKey
from pipeline.broker.dispatcher import Dispatcher
from pipeline.errors import BrokerUnavailableError, UnreadableError
from pipeline.ledger.ledger import Ledger
from pipeline.ledger.listing import ChunkStatus, JobFilter, JobPage, Listing, Position
from pipeline.ledger.waiters import CompletionWaiters, WaitResult
from pipeline.maintenance.restore_job import Recovery
from pipeline.maintenance.results import ResultRecorder
from pipeline.model.failure_reasons import CANCELLED_BY_REQUEST
from pipeline.model.jobs import JobStatus
from pipeline.storage.records import JobRecords
from pipeline.webhooks.schedule import Callbacks

log = structlog.get_logger(__name__)


class NotPossibleError(Exception):
    """The job's state forbids it; the message says why."""


class Jobs:
    """Accepted jobs, as an API key sees them.

    Every method raises:
        UnavailableError: try again later.

    Args:
        ledger, records: where jobs are.
        dispatcher: sends the messages of a re-run.
        recovery: brings back what Redis has lost.
        results: records how a job ended.
        listing: lists jobs and chunks.
        waiters: wakes polls that wait for a job's end.
        callbacks: of jobs that have ended.
        deadline: milliseconds that a job gets when it is run again.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: JobRecords,
        dispatcher: Dispatcher,
        *,
        recovery: Recovery,
        results: ResultRecorder,
        listing: Listing,
        waiters: CompletionWaiters,
        callbacks: Callbacks,
        deadline: int,
    ) -> None:
        self._ledger = ledger
        self._records = records
        self._dispatcher = dispatcher
        self._recovery = recovery
        self._results = results
        self._listing = listing
        self._waiters = waiters
        self._callbacks = callbacks
        self._deadline = deadline

    def status(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Return what is known of a job; None when there is none that ``key`` may see.

        A job that Redis has lost is restored from S3 by this.

        Raises:
            UnreadableError: Redis has lost it, and what S3 has of it is damaged.
        """
        found = self._ledger.status(task_id)
        if found is None and self._restore(task_id, key):
            found = self._ledger.status(task_id)
        if found is None or (found.key_id != key.key_id and key.role != "operator"):
            return None
        return found

    def _restore(self, task_id: str, key: ApiKey) -> bool:
        try:
            return self._recovery.restore(task_id)
        except UnreadableError as error:
            if error.key_id not in {None, key.key_id} and key.role != "operator":
                return False
            raise

    def wait(self, task_id: str, key: ApiKey, seconds: float) -> WaitResult:
        """Return :meth:`status` as soon as the job has ended, or after ``seconds``.

        Only so many may wait at once in a process; over that, this returns at once.
        """
        return self._waiters.wait(task_id, seconds, lambda: self.status(task_id, key))

    def stop_waiting(self) -> None:
        """Let all that wait return. It only sets flags, so a signal handler may call it."""
        self._waiters.close()

    def list(self, wanted: JobFilter, key: ApiKey, limit: int, after: Position | None) -> JobPage:
        """Return a page of jobs: a client's own, or an operator's choice of all."""
        if key.role != "operator":
            wanted = msgspec.structs.replace(wanted, key_id=key.key_id)
        return self._listing.jobs(wanted, limit, after)

    def chunks(
        self, task_id: str, key: ApiKey, first: int, limit: int
    ) -> Sequence[ChunkStatus] | None:
        """Return a page of a job's chunks from index ``first`` on; None when it may not be seen."""
        found = self.status(task_id, key)
        return None if found is None else self._listing.chunks(found, first, limit)

    def retry(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Render again what is not staged of a failed job; None when there is none to be seen.

        Raises:
            NotPossibleError: it has not failed, or is being removed.
        """
        found = self.status(task_id, key)
        if found is None:
            return None
        chunks = None
        if found.state == "failed":
            self._records.delete_end(task_id)
            chunks = self._ledger.retry_job(task_id, self._deadline)
        if chunks is None:
            raise NotPossibleError(
                "There is nothing to re-run: the task has not failed, or is being removed."
            )
        # Should this not get out, the sweep finds a job that nobody moves.
        with suppress(BrokerUnavailableError):
            if chunks:
                self._dispatcher.send_chunks(task_id, chunks)
            else:
                self._dispatcher.send_bundle(task_id)
        log.info("job reopened", task_id=task_id, chunks=len(chunks))
        return self._ledger.status(task_id)

    def cancel(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Cancel a job in flight; None when there is none to be seen. Twice is once.

        Raises:
            NotPossibleError: it has ended otherwise, before this came.
        """
        found = self.status(task_id, key)
        if found is None:
            return None
        result = self._ledger.fail_job(task_id, CANCELLED_BY_REQUEST)
        if result is None or result.error_code != CANCELLED_BY_REQUEST.code:
            raise NotPossibleError("The task has ended already; there is nothing to cancel.")
        self._results.write(task_id, result)
        if found.callback_url:
            self._callbacks.enqueue(task_id)
        log.info("job cancelled", task_id=task_id)
        return self._ledger.status(task_id)
