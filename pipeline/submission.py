"""Acceptance of requests: write to S3, create the job, enqueue its chunks, or undo everything."""

import time
import uuid
from contextlib import suppress
from typing import NamedTuple

import structlog

from pipeline.auth.api_keys import ApiKey
from pipeline.broker.backlog import Backlog
from pipeline.broker.dispatcher import Dispatcher
from pipeline.errors import (
    LedgerUnavailableError,
    NewerVersionError,
    ObjectMissingError,
    StoreUnavailableError,
    UnreadableError,
)
from pipeline.ledger.idempotency import IdempotencyKeys, Reservation
from pipeline.ledger.ledger import Ledger
from pipeline.model.jobs import JobRequest
from pipeline.model.records import Idempotency, RequestWarning
from pipeline.model.request_object import Acceptance, encode_head
from pipeline.monitoring.metrics import AcceptedMetrics
from pipeline.storage.multipart_upload import UploadAbandonedError
from pipeline.storage.records import JobRecords

log = structlog.get_logger(__name__)


class Accepted(NamedTuple):
    """An accepted request.

    Attributes:
        task_id: id of its job.
        items: number of its items.
        replayed: whether a request with the same Idempotency-Key was accepted before.
        warnings: the listed warnings about it, as they were when it was accepted.
        warnings_total: number of warnings, including unlisted ones.
    """

    task_id: str
    items: int
    replayed: bool
    warnings: tuple[RequestWarning, ...]
    warnings_total: int


class UncertainAcceptanceError(LedgerUnavailableError):
    """Redis or S3 became unavailable during acceptance: the job may or may not exist.

    Sending the same request with the same Idempotency-Key resolves this. Without such a key, the
    job may run although its client has no task id.

    Attributes:
        delete_pending: whether S3 may still execute a deletion of the request object that it has
            not responded to.
    """

    def __init__(self, reason: str, *, delete_pending: bool = False) -> None:
        super().__init__(reason)
        self.delete_pending = delete_pending


class Submission:
    """Accepts requests.

    Args:
        ledger: the ledger that jobs are created in.
        records: the records in S3 that request objects are written to.
        fail_fast_records: the same records through a fail-fast client, which deletes the request
            object of an acceptance that has already taken long.
        dispatcher: sends the messages.
        idempotency: reserves Idempotency-Keys.
        backlog: limits the number of waiting messages.
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
        """Accept a checked request: write it to S3, create its job, enqueue its chunks.

        If one of these steps fails, the steps before it are undone, and nothing was accepted. If
        Redis or S3 becomes unavailable meanwhile, the outcome is uncertain and the request is kept.

        Args:
            request: the checked request.
            key: the API key that sent it.
            idempotency: the Idempotency-Key and body, if the request has such a key; the same key
                and body again return the same job.
            request_id: id of the HTTP request, which the workers' log lines carry.

        Raises:
            IdempotencyError: If the Idempotency-Key is in use, or was used with another body.
            BacklogFullError: If too many messages are waiting.
            UncertainAcceptanceError: If it is unknown whether the request was accepted.
            UnavailableError: If a backend is unavailable; nothing was accepted.
        """
        task_id = str(uuid.uuid4())
        if idempotency is None:
            self._accept(request, key, _acceptance(task_id, key, request_id), None)
            return self._count(request, task_id)
        reservation = self._idempotency.reserve(key.key_id, idempotency, task_id)
        if not reservation.replayed:
            # The request that held this key before may have created the job already. If so, the
            # sweep enqueues what is missing.
            if not (
                reservation.is_takeover and self._ledger.status(reservation.task_id) is not None
            ):
                acceptance = _acceptance(reservation.task_id, key, request_id, idempotency)
                self._accept_reserved(request, key, acceptance, reservation)
            # If this fails, the job exists all the same. The reservation expires, and the next
            # request with the key takes over the existing job.
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
            head, _ = self._records.read_head(task_id)
        except (StoreUnavailableError, ObjectMissingError, UnreadableError, NewerVersionError):
            # The warnings found now differ only if a setting or the release has changed.
            return replay
        return replay._replace(warnings=head.warnings, warnings_total=head.warnings_total)

    def _accept_reserved(
        self, request: JobRequest, key: ApiKey, acceptance: Acceptance, reservation: Reservation
    ) -> None:
        try:
            self._accept(request, key, acceptance, reservation)
        except UncertainAcceptanceError as error:
            # The Idempotency-Key keeps the job's id, and the next request with the key takes over
            # both: at once, or after the time within which S3 may still execute a deletion.
            with suppress(LedgerUnavailableError):
                if not error.delete_pending:
                    reservation.expire()
            raise
        except BaseException as error:
            # A request object may exist: written by the first holder of the key, or by a PUT that
            # S3 executed without responding. So the key keeps its task id and only expires.
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
            raise UncertainAcceptanceError(
                "another request took over the Idempotency-Key"
            ) from error
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
        """Delete a request object that S3 may have stored although it did not respond.

        If the object remains, the sweep finds it and creates its job. Its task id must then remain
        reserved as well, for the client that sends the request again.
        """
        if reservation and not _is_ours(reservation):
            raise UncertainAcceptanceError(str(reason)) from reason
        self._delete(task_id, reason)

    def _roll_back(
        self, task_id: str, key: ApiKey, reason: BaseException, reservation: Reservation | None
    ) -> None:
        """Undo an acceptance, unless the job may exist or belongs to another request by now.

        In these cases the request object must stay, because a job without one can never be
        rendered. A message that was already enqueued finds no job and does nothing.
        """
        if reservation and not _is_ours(reservation):
            raise UncertainAcceptanceError(str(reason)) from reason
        try:
            self._ledger.discard_job(task_id, key.key_id)
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


def _is_ours(reservation: Reservation) -> bool:
    """Return whether no other request can hold the reservation, so that undoing is safe."""
    try:
        return reservation.renew()
    except LedgerUnavailableError:
        return False


def _acceptance(
    task_id: str, key: ApiKey, request_id: str, idempotency: Idempotency | None = None
) -> Acceptance:
    now = time.time_ns() // 1_000_000
    return Acceptance(task_id, key.key_id, now, idempotency, key.name, request_id)
