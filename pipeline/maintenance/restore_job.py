"""Restore one job that Redis has lost from its objects in S3."""

import time
from contextlib import suppress

import structlog

from pipeline.broker.dispatcher import Dispatcher
from pipeline.errors import (
    BrokerUnavailableError,
    ObjectMissingError,
    UnreadableError,
)
from pipeline.ledger.idempotency import IdempotencyKeys
from pipeline.ledger.ledger import Ledger
from pipeline.model.records import CallbackRecord, RequestHead
from pipeline.storage.records import JobRecords

log = structlog.get_logger(__name__)


class Recovery:
    """Rebuilds ledger entries; may be used by many at once, of whom one enters the job.

    Args:
        deadline: milliseconds that a job in flight gets from now on.
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
        """Enter a job that the ledger does not know; False when S3 does not know it either.

        A job that has ended is entered as it ended. One in flight is rendered anew: that takes
        less than finding out what is staged and whole.

        Raises:
            UnavailableError: try again later.
            UnreadableError: what S3 has of it is damaged.
            NewerVersionError: a newer release has written it, and brings it back.
        """
        try:
            head, head_bytes = self._records.read_head(task_id)
        except ObjectMissingError:
            return False
        try:
            result = self._records.read_result(task_id)
            callback = self._read_callback(head) if result else None
        except UnreadableError as error:
            error.key_id = head.key_id
            raise
        if result is not None:
            self._ledger.restore_job(head, head_bytes, result, callback)
            log.warning("job restored from S3", task_id=task_id, state=result.state)
        elif self._ledger.create_job(head, head.created_at, head_bytes, self._deadline):
            # Should this not get out, the sweep finds a job that nobody moves.
            with suppress(BrokerUnavailableError):
                self._dispatcher.send_chunks(task_id, range(head.chunks))
            log.warning("job restarted from S3", task_id=task_id, items=head.items)
        self._keep_idempotency(head)
        return True

    def restore_result(self, task_id: str) -> bool:
        """End a job in flight whose end S3 knows and Redis has lost; False when it is none.

        One that has no such end, as most have none, costs one request.

        Raises:
            UnavailableError: try again later.
            ObjectMissingError: it is being removed, or opened again.
            UnreadableError: what S3 has of it is damaged.
            NewerVersionError: a newer release has written it.
        """
        result = self._records.read_result(task_id)
        if result is None:
            return False
        head, head_bytes = self._records.read_head(task_id)
        callback = self._read_callback(head)
        if not self._ledger.restore_job(head, head_bytes, result, callback):
            return False
        log.warning("job result restored from S3", task_id=task_id, state=result.state)
        return True

    def _read_callback(self, head: RequestHead) -> CallbackRecord | None:
        return self._records.read_callback(head.task_id) if head.callback_url else None

    def _keep_idempotency(self, head: RequestHead) -> None:
        if head.idempotency is not None:
            age = int(time.time() - head.accepted_at) * 1000
            self._idempotency.confirm(head.key_id, head.idempotency, head.task_id, age=age)
