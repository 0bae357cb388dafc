"""Bringing a job back that Redis has lost, from what S3 holds of it."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
import redis
import structlog

from pipeline.broker.dispatcher import Dispatcher
from pipeline.errors import (
    BrokerUnavailableError,
    NewerVersionError,
    ObjectMissingError,
    UnreadableError,
)
from pipeline.ledger.idempotency import IdempotencyKeys
from pipeline.ledger.ledger import Ledger
from pipeline.model.records import CallbackRecord, RequestHead, Result
from pipeline.model.request_object import decode_head
from pipeline.model.versions import is_newer
from pipeline.settings import Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket

log = structlog.get_logger(__name__)

#: Bytes of a request object that are read for its head; four times as many while that is short.
_HEAD_BYTES = 1 << 16


class Recovery:
    """Rebuilds ledger entries; may be used by many at once, of whom one enters the job.

    Args:
        deadline: milliseconds that a job in flight gets from now on.
    """

    def __init__(
        self,
        ledger: Ledger,
        bucket: Bucket,
        dispatcher: Dispatcher,
        *,
        idempotency: IdempotencyKeys,
        deadline: int,
    ) -> None:
        self._ledger = ledger
        self._bucket = bucket
        self._dispatcher = dispatcher
        self._idempotency = idempotency
        self._deadline = deadline

    def revive(self, task_id: str) -> bool:
        """Enter a job that the ledger does not know; False when S3 does not know it either.

        A job that has ended is entered as it ended. One in flight is rendered anew: that takes
        less than finding out what is staged and whole.

        Raises:
            LedgerUnavailableError, StoreUnavailableError: try again later.
            UnreadableError: what S3 has of it is damaged.
            NewerVersionError: a newer release has written it, and brings it back.
        """
        try:
            head, head_bytes = self.read_head(task_id)
        except ObjectMissingError:
            return False
        try:
            result = self.read_result(task_id)
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
            log.warning("job begun anew from S3", task_id=task_id, items=head.items)
        self._keep_idempotency(head)
        return True

    def end_again(self, task_id: str) -> bool:
        """End a job in flight whose end S3 knows and Redis has lost; False when it is none.

        One that has no such end, as most have none, costs one request.

        Raises:
            LedgerUnavailableError, StoreUnavailableError: try again later.
            ObjectMissingError: it is being removed, or opened again.
            UnreadableError: what S3 has of it is damaged.
            NewerVersionError: a newer release has written it.
        """
        result = self.read_result(task_id)
        if result is None:
            return False
        head, head_bytes = self.read_head(task_id)
        callback = self._read_callback(head)
        if not self._ledger.restore_job(head, head_bytes, result, callback):
            return False
        log.warning("job ended again from S3", task_id=task_id, state=result.state)
        return True

    def read_result(self, task_id: str) -> Result | None:
        """Return how a job ended for good, or None.

        Raises:
            StoreUnavailableError: try again later.
            UnreadableError: the record is damaged.
        """
        key = keys.result_object(task_id)
        try:
            data = self._bucket.get(key)
        except ObjectMissingError:
            return None
        with readable(key):
            _refuse_newer(key, data)
            return msgspec.json.decode(data, type=Result)

    def _read_callback(self, head: RequestHead) -> CallbackRecord | None:
        if not head.callback_url:
            return None
        key = keys.callback_object(head.task_id)
        try:
            data = self._bucket.get(key)
        except ObjectMissingError:
            return None
        with readable(key):
            _refuse_newer(key, data)
            return msgspec.json.decode(data, type=CallbackRecord)

    def read_head(self, task_id: str) -> tuple[RequestHead, int]:
        """Return the head of a job's request object, and its size in bytes.

        Raises:
            ObjectMissingError: there is no such object.
            UnreadableError: it is damaged.
        """
        key, size = keys.request_object(task_id), _HEAD_BYTES
        while b"\n" not in (data := self._bucket.get_start(key, size)):
            if len(data) < size:
                raise UnreadableError(f"{key} has no whole head")
            size *= 4
        line, _, _ = data.partition(b"\n")
        with readable(key):
            _refuse_newer(key, line)
            return decode_head(line), len(line) + 1

    def _keep_idempotency(self, head: RequestHead) -> None:
        if head.idempotency is not None:
            age = int(time.time() - head.accepted_at) * 1000
            self._idempotency.confirm(head.key_id, head.idempotency, head.task_id, age=age)


@contextmanager
def readable(key: str) -> Iterator[None]:
    """Decode what the object ``key`` holds, in the block.

    Raises:
        UnreadableError: it cannot be decoded.
    """
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # Not the decoder's message: it may quote what is there.
        raise UnreadableError(f"{key} is not what was written there") from error


def _refuse_newer(key: str, record: bytes) -> None:
    if is_newer(record):
        raise NewerVersionError(f"{key} is a newer release's")


def make_recovery(
    settings: Settings,
    client: redis.Redis,
    bucket: Bucket,
    dispatcher: Dispatcher,
) -> Recovery:
    """Return the recovery that ``settings`` describe.

    Args:
        settings: deadline.
        client: decodes responses.
        bucket: of requests and results.
        dispatcher: sends the messages.
    """
    return Recovery(
        Ledger(client),
        bucket,
        dispatcher,
        idempotency=IdempotencyKeys(client),
        deadline=settings.job_deadline * 1000,
    )
