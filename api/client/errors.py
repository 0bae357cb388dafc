"""Errors of the client.

No message contains an API key or the query of a presigned URL, which is a secret as well.
"""

from collections.abc import Sequence
from typing import Final

from .wire_types import ErrorCode, Violation

#: Another request with the same Idempotency-Key is in flight.
KEY_IN_USE: Final[ErrorCode] = "key_in_use"
#: The task's state does not permit a cancel, a purge or a retry.
NOT_POSSIBLE: Final[ErrorCode] = "not_possible"
#: Code that only the client uses: the response is not from this API, or from another version.
NOT_QRMILL: Final = "not_qrmill"
#: HTTP statuses of transient errors, for responses without ``retryable``: those of gateways and of
#: releases before 0.3.
_TRANSIENT = frozenset({429, 502, 503, 504})
#: Maximum number of invalid values in a message; ``ApiError.errors`` has all that the API listed.
_LISTED = 5


class QrmillError(Exception):
    """Base class of the client's errors.

    Attributes:
        transient: whether a later attempt may succeed; the client has used up its own attempts.
        retry_after: seconds to wait, as requested by the service; 0 if the service requested none.
        attempts: number of attempts made.
        idempotency_key: key of a submit; sending the same request with this key again creates no
            second task. None for other calls.
    """

    transient: bool = False
    retry_after: float = 0.0
    attempts: int = 1
    idempotency_key: str | None = None


class ApiError(QrmillError):
    """Raised when the API rejects a request.

    Attributes:
        status: HTTP status.
        error_code: stable name of the error: an ``ErrorCode``, a code of a newer service, or
            ``not_qrmill`` if the response was not from the API.
        detail: what went wrong and what to do.
        retryable: whether the same request may succeed later, as the response states; without such
            a statement, the status decides. The same as ``transient``.
        errors: for 422, the invalid values that the response lists.
        errors_total: number of invalid values.
    """

    def __init__(
        self,
        status: int,
        error_code: str,
        detail: str,
        errors: Sequence[Violation] = (),
        *,
        errors_total: int | None = None,
        retryable: bool | None = None,
        retry_after: float = 0.0,
    ) -> None:
        # A single violation may only repeat the detail of the response.
        listed = [] if [row.detail for row in errors] == [detail] else errors[:_LISTED]
        rows = [f"{row.pointer}: {row.detail}".removeprefix(": ") for row in listed]
        more = [f"and {len(errors) - _LISTED} more"] if len(errors) > _LISTED else []
        super().__init__("\n".join([f"{status} {error_code}: {detail}", *rows, *more]))
        self.status = status
        self.error_code = error_code
        self.detail = detail
        self.errors = tuple(errors)
        self.errors_total = len(errors) if errors_total is None else errors_total
        self.retry_after = retry_after
        if retryable is None:
            retryable = status in _TRANSIENT or error_code == KEY_IN_USE
        self.retryable = self.transient = retryable


class UnreachableError(QrmillError):
    """Raised when the API does not respond: no connection, a broken connection, or a timeout."""

    transient = True


class TaskFailedError(QrmillError):
    """Raised when a task has failed.

    Attributes:
        task_id: UUID of the task.
        error: why the task failed.
        error_code: stable name of ``error``.
    """

    def __init__(self, task_id: str, error: str | None, error_code: str | None) -> None:
        super().__init__(f"task {task_id} failed ({error_code}): {error}")
        self.task_id = task_id
        self.error = error
        self.error_code = error_code


class WaitTimeoutError(QrmillError):
    """Raised when a task has not ended in time; the task continues, so ``wait`` can be repeated."""


class DownloadError(QrmillError):
    """Raised when a bundle cannot be downloaded, or differs from what the API reports."""

    def __init__(self, message: str, *, transient: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.transient = transient
        self.retry_after = retry_after
