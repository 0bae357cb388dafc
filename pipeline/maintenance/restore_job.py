"""Restoration of a job that Redis has lost, from the job's objects in S3."""

import time
from contextlib import suppress

import structlog

from pipeline.broker.dispatcher import Dispatcher
from pipeline.errors import (
    BrokerUnavailableError,
    JobPurgedError,
    ObjectMissingError,
    UnreadableError,
)
from pipeline.ledger.idempotency import IdempotencyKeys
from pipeline.ledger.ledger import Ledger
from pipeline.model.records import CallbackRecord, RequestHead
from pipeline.model.states import TERMINAL
from pipeline.storage.records import JobRecords

log = structlog.get_logger(__name__)


class Recovery:
    """Rebuilds ledger entries.

    If several processes restore the same job concurrently, only one of them creates the entry.

    Args:
        ledger: ledger in which jobs are restored.
        records: job records in S3.
        dispatcher: enqueues the chunks of jobs in flight.
        idempotency: stores the Idempotency-Keys of restored jobs.
        deadline: milliseconds that a restored job in flight gets from now on.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: JobRecords,
        dispatcher: Dispatcher,
        *,
        idempotency: IdempotencyKeys,
        deadline: int,
    ) -> None:
        self._ledger = ledger
        self._records = records
        self._dispatcher = dispatcher
        self._idempotency = idempotency
        self._deadline = deadline

    def restore(self, task_id: str) -> bool:
        """Restore a job that the ledger does not know; return False if S3 does not know it either.

        An ended job is restored with its result. A job in flight is rendered again from the start,
        which costs less than finding out which staged chunks are intact.

        Raises:
            UnavailableError: a backend is unavailable; retry later.
            UnreadableError: the job's objects in S3 are damaged.
            NewerVersionError: a newer release has written the job; the sweep of that release
                restores the job.
        """
        try:
            head, head_bytes, _ = self._records.read_request(task_id)
        except ObjectMissingError:
            return False
        try:
            result = self._records.read_result(task_id)
            callback = self._read_callback(head) if result else None
        except UnreadableError as error:
            error.key_id = head.key_id
            raise
        if result is not None:
            if self._ledger.restore_job(head, head_bytes, result, callback):
                log.warning("job restored from S3", task_id=task_id, state=result.state)
        elif self._create(head, head_bytes):
            # If the chunks cannot be enqueued, the sweep rescues the stalled job.
            with suppress(BrokerUnavailableError):
                self._dispatcher.send_chunks(task_id, range(head.chunks), head.key_id)
            log.warning("job restarted from S3", task_id=task_id, items=head.items)
        self._keep_idempotency(head)
        return True

    def _create(self, head: RequestHead, head_bytes: int) -> bool:
        """Create the entry of a job in flight; return False if it exists or the job was purged."""
        with suppress(JobPurgedError):
            return self._ledger.create_job(head, head.created_at, head_bytes, self._deadline)
        return False

    def restore_result(self, task_id: str) -> bool:
        """Restore a lost end of a job: Redis has the job in flight, but S3 has a result record.

        Most jobs in flight have no result record. For such a job, the call costs one S3 request.

        Returns:
            True if the job was ended by this call.

        Raises:
            UnavailableError: a backend is unavailable; retry later.
            ObjectMissingError: the job is being deleted or reopened.
            UnreadableError: the job's objects in S3 are damaged.
            NewerVersionError: a newer release has written the job.
        """
        result = self._records.read_result(task_id)
        if result is None:
            return False
        head, head_bytes, _ = self._records.read_request(task_id)
        callback = self._read_callback(head)
        if not self._ledger.restore_job(head, head_bytes, result, callback):
            self._delete_void_result(task_id)
            return False
        log.warning("job result restored from S3", task_id=task_id, state=result.state)
        return True

    def _delete_void_result(self, task_id: str) -> None:
        """Delete the record of an end before the job was reopened, written late by a slow S3."""
        state = self._ledger.states([task_id])[0]
        if state is not None and state not in TERMINAL:
            self._records.delete_result(task_id)
            # Marks the job, so that its record is written again, if it has ended meanwhile.
            self._ledger.note_record(task_id, None)

    def _read_callback(self, head: RequestHead) -> CallbackRecord | None:
        return self._records.read_callback(head.task_id) if head.callback_url else None

    def _keep_idempotency(self, head: RequestHead) -> None:
        if head.idempotency is not None:
            age = int(time.time() - head.accepted_at) * 1000
            self._idempotency.confirm(head.key_id, head.idempotency, head.task_id, age=age)
