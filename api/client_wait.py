"""Waiting of the client: polls that the service holds until there is news, and that cost little."""

from collections.abc import Callable
from http import HTTPStatus

import httpx

from api.client_http import Api, decode, seconds_to_wait
from api.schemas import TaskStatus

#: Seconds a poll may be held; the contract allows 30, and gateways end what takes a minute.
_HELD = 25
#: Seconds between the beginnings of two polls where the answer does not say.
_PAUSE = 1.0


class LongPoll:
    """The polls of one task (``Prefer: wait``, RFC 7240, section 4.3).

    A service that does not hold polls answers at once, and ``Retry-After`` paces them.

    Args:
        api: answers them.
        path: of the task.
        clock: tells seconds, from any start.

    Attributes:
        pause: seconds until the next poll may be sent.
    """

    def __init__(self, api: Api, path: str, clock: Callable[[], float]) -> None:
        self.pause = 0.0
        self._api = api
        self._path = path
        self._clock = clock
        self._etag: str | None = None
        self._status: TaskStatus | None = None

    def ask(self, patience: float) -> TaskStatus:
        """Return the task's status, after ``patience`` seconds at most.

        Raises:
            ApiError, UnreachableError: there is no such task, or it cannot be asked for.
        """
        begun = self._clock()
        answer = self._poll(patience, held=max(0, int(min(_HELD, patience))))
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


def _pause(answer: httpx.Response, taken: float) -> float:
    said = seconds_to_wait(answer.headers)
    return max(0.0, _PAUSE - taken) if said is None else said
