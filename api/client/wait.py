"""Waiting for a task to end, with long polls (``Prefer: wait``)."""

from collections.abc import Callable
from http import HTTPStatus

import httpx2

from .errors import TaskFailedError, WaitTimeoutError
from .transport import Api, RetryPolicy, decode, parse_retry_after
from .wire_types import TaskStatus

#: Seconds that the service may hold a poll if the caller waits for the end only, and if it also
#: wants progress. The service holds a poll until the task has ended, even if there is progress. The
#: contract permits 30 s; gateways terminate requests after about a minute.
FOR_THE_END, FOR_PROGRESS = 25, 1
#: Seconds between the starts of two polls if the response has no Retry-After.
_PAUSE = 1.0


class LongPoll:
    """Long polls of one task (``Prefer: wait``, RFC 7240, section 4.3).

    A service that does not hold polls responds at once. The pause between polls is then its
    ``Retry-After``.

    Args:
        api: sends the polls.
        path: path of the task's status.
        clock: returns seconds since any fixed time.
        held: seconds that the service may hold each poll.

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

    def poll(self, patience: float) -> TaskStatus:
        """Return the task's status, within ``patience`` seconds.

        Raises:
            ApiError: the task does not exist.
            UnreachableError: the API did not respond.
        """
        started = self._clock()
        response = self._send(patience, held=max(0, int(min(self._held, patience))))
        self.pause = _pause_after(response, self._clock() - started)
        if response.status_code != HTTPStatus.NOT_MODIFIED or self._status is None:
            self._status = decode(response, TaskStatus)
            self._etag = response.headers.get("ETag")
        return self._status

    def _send(self, patience: float, held: int) -> httpx2.Response:
        headers = {"If-None-Match": self._etag} if self._etag else {}
        if held:
            headers["Prefer"] = f"wait={held}"
        return self._api.send("GET", self._path, headers=headers, held=held, patience=patience)


def wait(
    poll: LongPoll,
    policy: RetryPolicy,
    timeout: float | None,
    on_progress: Callable[[TaskStatus], object] | None,
) -> TaskStatus:
    """Wait until a task is completed, and return its status.

    Args:
        poll: the polls of the task.
        policy: policy with the clock and the function that sleeps.
        timeout: seconds to wait; None for no limit.
        on_progress: called with every status that differs from the previous one.

    Raises:
        TaskFailedError: the task has failed.
        WaitTimeoutError: the task has not ended in time.
        ApiError: the task does not exist.
        UnreachableError: the API did not respond.
    """
    deadline = float("inf") if timeout is None else policy.clock() + timeout
    previous: TaskStatus | None = None
    while True:
        status = poll.poll(deadline - policy.clock())
        if on_progress and status != previous:
            on_progress(status)
        if status.status == "completed":
            return status
        if status.status == "failed":
            raise TaskFailedError(status.task_id, status.error, status.error_code)
        if policy.clock() + poll.pause >= deadline:
            raise WaitTimeoutError(f"task {status.task_id} has not ended within {timeout} s")
        previous = status
        policy.sleep(poll.pause)


def _pause_after(response: httpx2.Response, elapsed: float) -> float:
    """Return the seconds until the next poll, after a poll that took ``elapsed`` seconds."""
    retry_after = parse_retry_after(response.headers)
    if retry_after is None:
        return max(0.0, _PAUSE - elapsed)
    # The time for which the poll was held counts as part of the pause, so that the next held poll
    # follows without a gap in which the task could end unnoticed.
    held = "Preference-Applied" in response.headers
    return max(0.0, retry_after - elapsed) if held else retry_after
