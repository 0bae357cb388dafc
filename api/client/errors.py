"""What can go wrong for a client of the API.

No message holds an API key or the query of a presigned URL, which is a key as well.
"""

from collections.abc import Sequence

from api.schemas.problems import Violation

#: Statuses that may pass by themselves.
_PASSING = frozenset({429, 502, 503, 504})
#: Bad values that a message shows; ``ApiError.errors`` has all that the API listed.
_SHOWN = 5


class QrmillError(Exception):
    """Any error of the client.

    Attributes:
        transient: it may pass by itself; the client has tried again as often as it was allowed to.
        retry_after: seconds the service asked to wait, if it did.
        attempts: how often the request was sent.
        idempotency_key: of a submit; sent again with it, the same request is the same task.
    """

    transient: bool = False
    retry_after: float = 0.0
    attempts: int = 1
    idempotency_key: str | None = None


class ApiError(QrmillError):
    """The API refused a request.

    Attributes:
        status: of the HTTP answer.
        error_code: stable name of the error.
        detail: what went wrong and what to do.
        errors: of a 422, each bad value that the answer lists, with where it stands.
        errors_total: how many there are.
    """

    def __init__(
        self,
        status: int,
        error_code: str,
        detail: str,
        errors: Sequence[Violation] = (),
        *,
        errors_total: int | None = None,
        retry_after: float = 0.0,
    ) -> None:
        # A single row may say no more than the answer itself.
        told = [] if [row.detail for row in errors] == [detail] else errors[:_SHOWN]
        rows = [f"{row.pointer}: {row.detail}".removeprefix(": ") for row in told]
        more = [f"and {len(errors) - _SHOWN} more"] if len(errors) > _SHOWN else []
        super().__init__("\n".join([f"{status} {error_code}: {detail}", *rows, *more]))
        self.status = status
        self.error_code = error_code
        self.detail = detail
        self.errors = tuple(errors)
        self.errors_total = len(errors) if errors_total is None else errors_total
        self.retry_after = retry_after
        self.transient = status in _PASSING or error_code == "key_in_use"


class UnreachableError(QrmillError):
    """There was no answer: no connection, one that broke, or a time-out."""

    transient = True


class TaskFailedError(QrmillError):
    """The task has failed.

    Attributes:
        task_id: of the task.
        error: why, in words.
        error_code: the same, for programs.
    """

    def __init__(self, task_id: str, error: str | None, error_code: str | None) -> None:
        super().__init__(f"task {task_id} failed ({error_code}): {error}")
        self.task_id = task_id
        self.error = error
        self.error_code = error_code


class WaitTimeoutError(QrmillError):
    """The task has not ended yet; it goes on all the same, and can be waited for again."""


class DownloadError(QrmillError):
    """The bundle could not be downloaded, or is not what the API says it is."""

    def __init__(self, message: str, *, transient: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.transient = transient
        self.retry_after = retry_after
