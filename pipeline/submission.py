"""Acceptance of requests: write to S3, create the job, enqueue its chunks, or undo everything."""

import time
import uuid
from contextlib import suppress
from typing import NamedTuple

import structlog

from pipeline.auth.api_key import ApiKey
from pipeline.auth.item_limits import ItemLimits
from pipeline.broker.backlog import Backlog
from pipeline.broker.dispatcher import Dispatcher
from pipeline.errors import (
    LedgerUnavailableError,
    NewerVersionError,
    ObjectExistsError,
    ObjectMissingError,
    StoreUnavailableError,
    UnreadableError,
)
from pipeline.ledger.idempotency import IdempotencyKeys, Reservation
from pipeline.ledger.ledger import Ledger
from pipeline.model.jobs import JobRequest
from pipeline.model.records import Idempotency, RequestHead, RequestWarning
from pipeline.model.request_object import Acceptance, encode_head, encode_tail
from pipeline.monitoring.metrics import AcceptedMetrics
from pipeline.storage.multipart_upload import UploadAbandonedError
from pipeline.storage.records import JobRecords

log = structlog.get_logger(__name__)

#: Largest size of the items that the ledger keeps until the job ends, in bytes: about 100 items.
_LEDGER_ITEMS_BYTES = 8 * 1024


class Accepted(NamedTuple):
    """An accepted request.

    Attributes:
        task_id: id of the job.
        items: number of items of the job.
        replayed: whether a request with the same Idempotency-Key was accepted before.
        warnings: the listed warnings about the request, as of its acceptance.
        warnings_total: number of warnings, including unlisted ones.
    """

    task_id: str
    items: int
    replayed: bool
    warnings: tuple[RequestWarning, ...]
    warnings_total: int


class UncertainAcceptanceError(LedgerUnavailableError):
    """Raised when Redis or S3 fails during acceptance, so that the job may or may not exist.

    To find out, the client sends the same request with the same Idempotency-Key again. Without
    such a key, the job may run although its client has no task id.

    Attributes:
        delete_pending: whether S3 has not responded to a deletion of the request object, and may
            still execute the deletion.
    """

    def __init__(self, reason: str, *, delete_pending: bool = False) -> None:
        super().__init__(reason)
        self.delete_pending = delete_pending


class Submission:
    """Accepts requests.

    Args:
        ledger: the ledger that jobs are created in.
        records: the records in S3 that request objects are written to.
        fail_fast_records: the same records, accessed with a fail-fast client. This client deletes
            the request object if an acceptance fails, because the acceptance has then already taken
            long.
        dispatcher: sends the messages.
        idempotency: reserves Idempotency-Keys.
        backlog: limits the number of waiting messages of each tenant.
        item_limits: limits the items of each API key.
        deadline: milliseconds within which a job must end.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: JobRecords,
        dispatcher: Dispatcher,
        idempotency: IdempotencyKeys,
        backlog: Backlog,
        *,
        item_limits: ItemLimits,
        fail_fast_records: JobRecords,
        deadline: int,
    ) -> None:
        self._metrics = AcceptedMetrics()
        self._ledger = ledger
        self._records = records
        self._dispatcher = dispatcher
        self._idempotency = idempotency
        self._backlog = backlog
        self._item_limits = item_limits
        self._fail_fast_records = fail_fast_records
        self._deadline = deadline

    def submit(
        self,
        request: JobRequest,
        key: ApiKey,
        idempotency: Idempotency | None = None,
        request_id: str = "",
    ) -> Accepted:
        """Accept a checked request: write it to S3, create its job, enqueue its chunks.

        If one of these steps fails, the steps before it are undone, and nothing was accepted. If
        Redis or S3 is unavailable while the steps are being undone, the outcome is uncertain, and
        the request object may remain.

        Args:
            request: the checked request.
            key: the API key that sent the request.
            idempotency: digests of the Idempotency-Key and the request; None if the request has no
                Idempotency-Key. A repetition of the request returns the same job.
            request_id: id of the HTTP request, included in the log lines of the workers.

        Raises:
            IdempotencyError: If the Idempotency-Key is in use, or was used for another request.
            BacklogFullError: If too many messages of the tenant are waiting.
            ItemLimitError: If the key may not send so many items now.
            UncertainAcceptanceError: If it is unknown whether the request was accepted.
            UnavailableError: If a backend is unavailable; nothing was accepted.
        """
        task_id = str(uuid.uuid4())
        if idempotency is None:
            self._accept(request, key, _acceptance(task_id, key, request_id), None)
            return self._count(request, task_id)
        reservation = self._idempotency.reserve(key.tenant, idempotency, task_id)
        if not reservation.replayed:
            # An earlier request with this Idempotency-Key may have created the job already. If so,
            # the sweep enqueues the missing messages.
            if not (
                reservation.is_takeover and self._ledger.status(reservation.task_id) is not None
            ):
                acceptance = _acceptance(reservation.task_id, key, request_id, idempotency)
                self._accept_reserved(request, key, acceptance, reservation)
            # If the confirmation fails, the job exists nevertheless. The reservation then expires,
            # and the next request with the Idempotency-Key takes over the existing job.
            with suppress(LedgerUnavailableError):
                reservation.confirm()
            return self._count(request, reservation.task_id)
        return self._replay(request, reservation.task_id)

    def _count(self, request: JobRequest, task_id: str) -> Accepted:
        self._metrics.count(request.format, request.items.count)
        return _accepted(request, task_id, replayed=False)

    def _replay(self, request: JobRequest, task_id: str) -> Accepted:
        """Return the acceptance of a request that was accepted before, with its warnings."""
        replay = _accepted(request, task_id, replayed=True)
        try:
            _, _, tail = self._records.read_request(task_id)
        except (StoreUnavailableError, ObjectMissingError, UnreadableError, NewerVersionError):
            # The warnings found now differ from the stored ones only if a setting or the release
            # has changed.
            return replay
        return replay._replace(warnings=tail.warnings, warnings_total=tail.warnings_total)

    def _accept_reserved(
        self, request: JobRequest, key: ApiKey, acceptance: Acceptance, reservation: Reservation
    ) -> None:
        try:
            self._accept(request, key, acceptance, reservation)
        except UncertainAcceptanceError as error:
            # The Idempotency-Key keeps the job's id, and the next request with the key takes over
            # the id at once. While S3 may still execute a deletion, that request must wait until
            # the lease of the reservation ends.
            with suppress(LedgerUnavailableError):
                if not error.delete_pending:
                    reservation.expire()
            raise
        except BaseException as error:
            # A request object may exist, either from an earlier request with the key, or because S3
            # executed a PUT without responding. In both cases the reservation expires and is not
            # released, so that the key keeps its task id.
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
        self._backlog.admit(len(request.items.chunks), key.tenant)
        self._item_limits.take(key, request.items.count)
        try:
            self._create(request, key, acceptance, reservation)
        except UncertainAcceptanceError:
            raise
        except BaseException:
            self._item_limits.give_back(key, request.items.count)
            raise

    def _create(
        self,
        request: JobRequest,
        key: ApiKey,
        acceptance: Acceptance,
        reservation: Reservation | None,
    ) -> None:
        task_id = acceptance.task_id
        try:
            head, head_bytes = self._write_request(request, acceptance, reservation)
        except UploadAbandonedError as error:
            raise UncertainAcceptanceError(
                "another request took over the Idempotency-Key"
            ) from error
        except StoreUnavailableError as error:
            self._delete_request(task_id, error, reservation)
            raise
        created = None
        try:
            created = self._ledger.create_job(
                head, head.created_at, head_bytes, self._deadline, _ledger_items(request)
            )
            self._dispatcher.send_chunks(task_id, range(head.chunks), head.key_id)
        except BaseException as error:
            if created is not False:
                self._roll_back(task_id, key, error, reservation)
                raise
            raise UncertainAcceptanceError(str(error)) from error
        log.info("job accepted", task_id=task_id, items=head.items, chunks=head.chunks)

    def _write_request(
        self, request: JobRequest, acceptance: Acceptance, reservation: Reservation | None
    ) -> tuple[RequestHead, int]:
        """Write the request object; return its head, and the size of the head in bytes.

        Serials that were drawn at random must not replace those of an earlier attempt with the same
        Idempotency-Key: workers, or an earlier response, may know them already. If such an attempt
        has written the object, it stays, and its head is returned.
        """
        task_id = acceptance.task_id
        head, head_line = encode_head(request, acceptance)
        pieces = [head_line, *request.items.chunks, encode_tail(request, acceptance)]
        if not (request.drawn and reservation):
            keep_going = reservation.renew if reservation else lambda: True
            self._records.write_request(task_id, pieces, keep_going)
            return head, len(head_line)
        if reservation.is_takeover and (written := self._read_head(task_id)):
            return written
        # A process that was stopped for longer than its lease must not write, even to a server that
        # ignores the condition.
        if not reservation.renew():
            raise UploadAbandonedError(task_id)
        try:
            self._records.write_request(task_id, pieces, reservation.renew, once=True)
        except ObjectExistsError as error:
            if written := self._read_head(task_id):
                return written
            raise UncertainAcceptanceError("the request object was deleted meanwhile") from error
        return head, len(head_line)

    def _read_head(self, task_id: str) -> tuple[RequestHead, int] | None:
        """Return the head of a request object and its size in bytes; None if there is none.

        Raises:
            UncertainAcceptanceError: S3 is unavailable. The object must not be deleted then.
        """
        try:
            head, head_bytes, _ = self._records.read_request(task_id)
        except ObjectMissingError:
            return None
        except StoreUnavailableError as error:
            raise UncertainAcceptanceError(str(error)) from error
        return head, head_bytes

    def _delete_request(
        self, task_id: str, reason: StoreUnavailableError, reservation: Reservation | None
    ) -> None:
        """Delete a request object that S3 may have stored without responding.

        If the object remains, the sweep finds it and creates the job. The task id must then remain
        reserved as well, so that a repeated request gets this job.
        """
        if reservation and not _is_ours(reservation):
            raise UncertainAcceptanceError(str(reason)) from reason
        self._delete(task_id, reason)

    def _roll_back(
        self, task_id: str, key: ApiKey, reason: BaseException, reservation: Reservation | None
    ) -> None:
        """Undo an acceptance, unless the job may exist or belongs to another request by now.

        In these cases the request object must stay, because a job without a request object can be
        neither re-run nor restored, and a large one cannot be rendered. After a rollback, a message
        that was already enqueued finds no job and has no effect.
        """
        if reservation and not _is_ours(reservation):
            raise UncertainAcceptanceError(str(reason)) from reason
        try:
            self._ledger.discard_job(task_id, key.tenant)
        except LedgerUnavailableError:
            raise UncertainAcceptanceError(str(reason)) from reason
        self._delete(task_id, reason)

    def _delete(self, task_id: str, reason: BaseException) -> None:
        try:
            self._fail_fast_records.delete_request(task_id)
        except StoreUnavailableError as error:
            raise UncertainAcceptanceError(
                str(reason), delete_pending=not error.operation
            ) from reason


def _accepted(request: JobRequest, task_id: str, *, replayed: bool) -> Accepted:
    count, warnings = request.items.count, request.warnings
    return Accepted(task_id, count, replayed, warnings, request.warnings_total)


def _ledger_items(request: JobRequest) -> str:
    """Return the items that the ledger keeps of a small job of one chunk; empty for any other job.

    Drawn serials are left out, because the request object may have those of an earlier attempt.
    """
    chunks = request.items.chunks
    small = len(chunks) == 1 and len(chunks[0]) <= _LEDGER_ITEMS_BYTES
    return chunks[0].decode() if small and not request.drawn else ""


def _is_ours(reservation: Reservation) -> bool:
    """Return whether this request still holds the reservation, so that undoing is safe."""
    try:
        return reservation.renew()
    except LedgerUnavailableError:
        return False


def _acceptance(
    task_id: str, key: ApiKey, request_id: str, idempotency: Idempotency | None = None
) -> Acceptance:
    return Acceptance(
        task_id,
        key.tenant,
        time.time_ns() // 1_000_000,
        idempotency,
        key.name,
        request_id,
        sent_by=key.key_id if key.key_id != key.tenant else "",
        tenant_name=key.tenant_name,
    )
