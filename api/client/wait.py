"""Waiting of the client: polls that the service holds until there is news, and that cost little."""

from collections.abc import Callable
from http import HTTPStatus

import httpx

from api.client.errors import TaskFailedError, WaitTimeoutError
from api.client.transport import Api, Backoff, decode, seconds_to_wait
from api.schemas.tasks import TaskStatus

#: Seconds a poll may be held. The service holds it until the task has ended, and not until there is
#: progress. The contract allows 30, and gateways end what takes a minute.
FOR_THE_END, FOR_PROGRESS = 25, 1
#: Seconds between the beginnings of two polls where the answer does not say.
_PAUSE = 1.0


class LongPoll:
    """The polls of one task (``Prefer: wait``, RFC 7240, section 4.3).

    A service that does not hold polls answers at once, and ``Retry-After`` paces them.

    Args:
        api: answers them.
        path: of the task.
        clock: tells seconds, from any start.
        held: seconds that each may be held.

    Attributes:
        pause: seconds until the next poll may be sent.
    """

    def __init__(self, api: Api, path: str, clock: Callable[[], float], held: int) -> None:
        self.pause = 0.0
        self._api = api
        self._path = path
        self._clock = clock
        self._held = held
        self._etag: str | None = None
        self._status: TaskStatus | None = None

    def ask(self, patience: float) -> TaskStatus:
        """Return the task's status, after ``patience`` seconds at most.

        Raises:
            ApiError, UnreachableError: there is no such task, or it cannot be asked for.
        """
        begun = self._clock()
        answer = self._poll(patience, held=max(0, int(min(self._held, patience))))
        self.pause = _pause(answer, self._clock() - begun)
        if answer.status_code != HTTPStatus.NOT_MODIFIED or self._status is None:
            self._status = decode(answer, TaskStatus)
            self._etag = answer.headers.get("ETag")
        return self._status

    def _poll(self, patience: float, held: int) -> httpx.Response:
        headers = {"If-None-Match": self._etag} if self._etag else {}
        if held:
            headers["Prefer"] = f"wait={held}"
        return self._api.send("GET", self._path, headers=headers, held=held, patience=patience)


def wait(
    poll: LongPoll,
    backoff: Backoff,
    timeout: float | None,
    told: Callable[[TaskStatus], object] | None,
) -> TaskStatus:
    """Return a task's status once it is completed.

    Args:
        poll: of the task.
        backoff: its clock, and its way to sleep.
        timeout: seconds to wait; for ever without.
        told: of every status that differs from the one before.

    Raises:
        TaskFailedError: it has failed.
        WaitTimeoutError: it has not ended in time.
        ApiError, UnreachableError: there is no such task, or it cannot be asked for.
    """
    deadline = float("inf") if timeout is None else backoff.clock() + timeout
    seen: TaskStatus | None = None
    while True:
        status = poll.ask(deadline - backoff.clock())
        if told and status != seen:
            told(status)
        if status.status == "completed":
            return status
        if status.status == "failed":
            raise TaskFailedError(status.task_id, status.error, status.error_code)
        if backoff.clock() + poll.pause >= deadline:
            raise WaitTimeoutError(f"task {status.task_id} has not ended within {timeout} s")
        seen = status
        backoff.sleep(poll.pause)


def _pause(answer: httpx.Response, taken: float) -> float:
    """Return the seconds until the next poll, after one that took ``taken`` seconds."""
    said = seconds_to_wait(answer.headers)
    if said is None:
        return max(0.0, _PAUSE - taken)
    # What it was held counts: there is no gap in which the end would go unnoticed.
    return max(0.0, said - taken) if "Preference-Applied" in answer.headers else said
