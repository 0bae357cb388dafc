"""Accepting a request: into S3, into the ledger, onto the queue; all of it or nothing."""

import time
import uuid
from contextlib import suppress
from typing import NamedTuple

import structlog

from pipeline.auth.api_keys import ApiKey
from pipeline.broker.backlog import Backlog
from pipeline.broker.dispatcher import Dispatcher
from pipeline.errors import LedgerUnavailableError, StoreUnavailableError
from pipeline.ledger.idempotency import IdempotencyKeys, Reservation
from pipeline.ledger.ledger import Ledger
from pipeline.model.jobs import JobRequest
from pipeline.model.records import Idempotency
from pipeline.model.request_object import Acceptance, encode_head
from pipeline.monitoring.metrics import AcceptedMetrics
from pipeline.storage.multipart_upload import UploadAbandonedError
from pipeline.storage.records import JobRecords

log = structlog.get_logger(__name__)


class Accepted(NamedTuple):
    """An accepted request: its job, its number of items, and whether it was accepted before."""

    task_id: str
    items: int
    replayed: bool


class UncertainAcceptanceError(LedgerUnavailableError):
    """Redis or S3 went away in the middle: the job may or may not be there.

    The same request with the same Idempotency-Key finds out; without one, the job may run unseen.

    Attributes:
        delete_pending: S3 was asked to remove the request, did not answer, and may yet do it.
    """

    def __init__(self, reason: str, *, delete_pending: bool = False) -> None:
        super().__init__(reason)
        self.delete_pending = delete_pending


class Submission:
    """Accepts requests.

    Args:
        ledger: where jobs are entered.
        records: where requests are kept.
        fail_fast_records: the same, to remove one from it when this has taken long already.
        dispatcher: sends the messages.
        idempotency: keys of requests that may be sent again.
        backlog: what waits.
        deadline: milliseconds that a job may take.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: JobRecords,
        dispatcher: Dispatcher,
        idempotency: IdempotencyKeys,
        backlog: Backlog,
        *,
        fail_fast_records: JobRecords,
        deadline: int,
    ) -> None:
        self._metrics = AcceptedMetrics()
        self._ledger = ledger
        self._records = records
        self._dispatcher = dispatcher
        self._idempotency = idempotency
        self._backlog = backlog
        self._fail_fast_records = fail_fast_records
        self._deadline = deadline

    def submit(
        self,
        request: JobRequest,
        key: ApiKey,
        idempotency: Idempotency | None = None,
        request_id: str = "",
    ) -> Accepted:
        """Accept a checked request: keep it in S3, enter it in the ledger, enqueue its chunks.

        When one of these fails, what went before is undone, and nothing was accepted. Only when
        Redis or S3 goes away in the middle can that not be told; the request is kept then.

        Args:
            request: checked.
            key: who sent it.
            idempotency: of its Idempotency-Key, if it has one; the same key and body again are the
                same job.
            request_id: of the HTTP request; the workers' log lines carry it.

        Raises:
            IdempotencyError: the key is in use, or was used with another body.
            BacklogFullError: too much is waiting.
            UnavailableError: try again later.
        """
        task_id = str(uuid.uuid4())
        if idempotency is None:
            self._accept(request, key, _acceptance(task_id, key, request_id), None)
            self._metrics.count(request.format, request.items.count)
            return Accepted(task_id, request.items.count, replayed=False)
        reservation = self._idempotency.reserve(key.key_id, idempotency, task_id)
        if not reservation.replayed:
            # One that was taken over may have got as far as a job, which the sweep moves on.
            if not (
                reservation.is_takeover and self._ledger.status(reservation.task_id) is not None
            ):
                acceptance = _acceptance(reservation.task_id, key, request_id, idempotency)
                self._accept_reserved(request, key, acceptance, reservation)
            # Should this not get through, the job is there all the same, and the reservation's
            # lease runs out: the next request with the key takes over the job as it is.
            with suppress(LedgerUnavailableError):
                reservation.confirm()
            self._metrics.count(request.format, request.items.count)
        return Accepted(reservation.task_id, request.items.count, replayed=reservation.replayed)

    def _accept_reserved(
        self, request: JobRequest, key: ApiKey, acceptance: Acceptance, reservation: Reservation
    ) -> None:
        try:
            self._accept(request, key, acceptance, reservation)
        except UncertainAcceptanceError as error:
            # The key keeps the job's id, and whoever sends it again takes both over: at once, or
            # when S3 will have done what it was asked last.
            with suppress(LedgerUnavailableError):
                if not error.delete_pending:
                    reservation.expire()
            raise
        except BaseException as error:
            # What the first holder of the key wrote, or S3 took without a word, may yet be there.
            silent = isinstance(error, StoreUnavailableError) and not error.operation
            with suppress(LedgerUnavailableError):
                (reservation.expire if reservation.is_takeover or silent else reservation.release)()
            raise

    def _accept(
        self,
        request: JobRequest,
        key: ApiKey,
        acceptance: Acceptance,
        reservation: Reservation | None,
    ) -> None:
        task_id, created_at = acceptance.task_id, acceptance.created_at
        self._backlog.admit(len(request.items.chunks))
        head, head_line = encode_head(request, acceptance)
        try:
            keep_going = reservation.renew if reservation else lambda: True
            self._records.write_request(task_id, [head_line, *request.items.chunks], keep_going)
        except UploadAbandonedError as error:
            raise UncertainAcceptanceError("another request with the key took over") from error
        except StoreUnavailableError as error:
            self._delete_request(task_id, error, reservation)
            raise
        created = None
        try:
            created = self._ledger.create_job(head, created_at, len(head_line), self._deadline)
            self._dispatcher.send_chunks(task_id, range(head.chunks))
        except BaseException as error:
            if created is not False:
                self._roll_back(task_id, key, error, reservation)
                raise
            raise UncertainAcceptanceError(str(error)) from error
        log.info("job accepted", task_id=task_id, items=head.items, chunks=head.chunks)

    def _delete_request(
        self, task_id: str, reason: StoreUnavailableError, reservation: Reservation | None
    ) -> None:
        """Remove a request object that may have arrived although the store did not say so.

        One that stays is found by the sweep and becomes a job; so its task id has to stay as well,
        for whoever sends the request again.
        """
        if reservation and not _is_ours(reservation):
            raise UncertainAcceptanceError(str(reason)) from reason
        self._remove(task_id, reason)

    def _roll_back(
        self, task_id: str, key: ApiKey, reason: BaseException, reservation: Reservation | None
    ) -> None:
        """Undo an acceptance, unless the ledger may still have the job or another request has it.

        Its request has to stay then, or the job would be one that can never be rendered. A message
        that did get out finds no such job, and ends there.
        """
        if reservation and not _is_ours(reservation):
            raise UncertainAcceptanceError(str(reason)) from reason
        try:
            self._ledger.discard_job(task_id, key.key_id)
        except LedgerUnavailableError:
            raise UncertainAcceptanceError(str(reason)) from reason
        self._remove(task_id, reason)

    def _remove(self, task_id: str, reason: BaseException) -> None:
        try:
            self._fail_fast_records.delete_request(task_id)
        except StoreUnavailableError as error:
            raise UncertainAcceptanceError(
                str(reason), delete_pending=not error.operation
            ) from reason


def _is_ours(reservation: Reservation) -> bool:
    """Say whether nobody else can be at the same request now, so that it may be undone."""
    try:
        return reservation.renew()
    except LedgerUnavailableError:
        return False


def _acceptance(
    task_id: str, key: ApiKey, request_id: str, idempotency: Idempotency | None = None
) -> Acceptance:
    now = time.time_ns() // 1_000_000
    return Acceptance(task_id, key.key_id, now, idempotency, key.name, request_id)
