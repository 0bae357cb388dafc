"""Requests of the client: sent, kept within the key's rates, repeated when that may help."""

import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple, TypeVar

import httpx
import msgspec

from api.client.arguments import check_api_key
from api.client.errors import ApiError, QrmillError, UnreachableError
from api.schemas.problems import Problem

#: Seconds: the longest first pause, which doubles with every attempt, and the longest of all.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
#: Seconds beyond all patience for an answer that is on its way: of a poll that was held to the end.
_GRACE = 2.0

Done = TypeVar("Done")
Answer = TypeVar("Answer", bound=msgspec.Struct)
Body = bytes | Iterable[bytes]


class Backoff(NamedTuple):
    """Repeats what may succeed later, with full jitter, never before the service asked for it.

    "Full jitter": the pause is anywhere between nothing and an exponentially growing limit, so that
    clients that failed together do not come back together. It is a loop of ours because what the
    libraries for it add is what has to be replaced here: their pauses know no Retry-After and
    their limits no clock but the system's.

    Attributes:
        attempts: how often something is tried.
        patience: seconds that all attempts and the pauses between them may take.
        sleep: waits for seconds.
        clock: tells seconds, from any start.
        told: of each error after which it is tried again.
    """

    attempts: int
    patience: float
    sleep: Callable[[float], None]
    clock: Callable[[], float]
    told: Callable[[QrmillError], object]

    def repeat(self, once: Callable[[], Done], patience: float | None = None) -> Done:
        """Return what ``once`` returns, the first time that it raises no transient error.

        Args:
            once: one attempt.
            patience: seconds, where fewer than usual.

        Raises:
            QrmillError: what ``once`` raised last.
        """
        deadline = self.clock() + self.bounded(patience)
        attempt = 1
        while True:
            try:
                return once()
            except QrmillError as error:
                pause = error.retry_after + _jitter(attempt)
                late = self.clock() + pause > deadline
                if not error.transient or attempt >= self.attempts or late:
                    error.attempts = attempt
                    raise
                self.told(error)
            self.sleep(pause)
            attempt += 1

    def bounded(self, patience: float | None) -> float:
        """Return the seconds that one request may take, of the ``patience`` of its caller."""
        return self.patience if patience is None else min(self.patience, patience)


class QuietURL(httpx.URL):
    """A URL that is shown without its query: httpx writes the URL of each request to its log."""

    def __str__(self) -> str:
        return str(httpx.URL(self, query=None))


class Api:
    """The API as one key sees it. Threads may share it.

    Args:
        http: a client of the API's URL, which may go to other servers as well: the key is not one
            of its own headers.
        api_key: the key.
        timeout: seconds to wait for a connection, and for each piece of an answer.
        backoff: how failures are repeated.

    Raises:
        ValueError: the key cannot be right.
    """

    def __init__(self, http: httpx.Client, api_key: str, timeout: float, backoff: Backoff) -> None:
        check_api_key(api_key)
        self._http = http
        self._headers = {"X-API-Key": api_key, "Accept": "application/json"}
        self._timeout = timeout
        self._backoff = backoff
        self._resume_at = 0.0

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        body: Callable[[], Body] | None = None,
        held: float = 0.0,
        patience: float | None = None,
        attempts: int | None = None,
    ) -> httpx.Response:
        """Return the answer to a request that may be sent more than once.

        Args:
            method: of the request.
            path: below the API's URL.
            headers: of the request.
            params: its query.
            body: returns the body, from its beginning at each call.
            held: seconds that the service may hold the answer back.
            patience: seconds that all attempts may take, where fewer than usual; a server that
                says nothing is given up then, one that keeps sending is not.
            attempts: how often it is sent at most, where fewer than usual.

        Raises:
            ApiError: it was refused.
            UnreachableError: it was not answered.
        """
        deadline = self._backoff.clock() + self._backoff.bounded(patience)

        def once() -> httpx.Response:
            self._await_rate(patience)
            left = deadline - self._backoff.clock()
            request = self._http.build_request(
                method,
                path,
                headers=self._headers | dict(headers or {}),
                params=params,
                content=body() if body else None,
                timeout=min(self._timeout + held, max(left, 0) + _GRACE),
            )
            request.url = QuietURL(request.url)
            return self._answered(request)

        backoff = self._backoff._replace(attempts=attempts or self._backoff.attempts)
        return backoff.repeat(once, patience)

    def _answered(self, request: httpx.Request) -> httpx.Response:
        try:
            answer = self._http.send(request)
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"{place(request.method, request.url)}: {words(error)}"
            ) from error
        self._note_rate(answer)
        if answer.is_success or answer.status_code == HTTPStatus.NOT_MODIFIED:
            return answer
        raise _refusal(answer)

    def _note_rate(self, answer: httpx.Response) -> None:
        """Remember when the key may send again, if it may not now."""
        left = answer.headers.get("RateLimit-Remaining")
        reset = answer.headers.get("RateLimit-Reset", "")
        if left is not None and reset.isdecimal():
            now = self._backoff.clock()
            self._resume_at = now + int(reset) if left.strip() == "0" else 0.0

    def _await_rate(self, patience: float | None) -> None:
        """Wait for the key's next window, unless that is too long: then the API says so itself."""
        pause = self._resume_at - self._backoff.clock()
        if 0 < pause <= self._backoff.bounded(patience):
            self._backoff.sleep(pause)


def decode(answer: httpx.Response, kind: type[Answer]) -> Answer:
    """Return an answer's body.

    Raises:
        ApiError: it is not of that kind.
    """
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_understood(answer, error) from None


def seconds_to_wait(headers: httpx.Headers) -> float | None:
    """Return what Retry-After says in seconds (RFC 9110, section 10.2.3); None without one.

    A date is compared with the answer's own, so that this machine's clock may be wrong.
    """
    said = headers.get("Retry-After", "").strip()
    if said.isdecimal():
        return float(said)
    try:
        until = parsedate_to_datetime(said)
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):  # no date, or one without its time zone
        return None


def place(method: str, url: httpx.URL) -> str:
    """Return a request in words: never its query, which in a presigned URL is a secret."""
    return f"{method} {url.netloc.decode()}{url.path}"


def words(error: Exception) -> str:
    """Return what happened; some errors of connections have no words of their own."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _jitter(attempt: int) -> float:
    limit = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
    return random.uniform(0, limit)  # noqa: S311 - spreads load, nothing secret


def _refusal(answer: httpx.Response) -> ApiError:
    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _not_understood(answer, error)
    return ApiError(
        answer.status_code,
        problem.error_code,
        problem.detail,
        problem.errors or (),
        errors_total=problem.errors_total,
        retry_after=seconds_to_wait(answer.headers) or 0.0,
    )


def _not_understood(answer: httpx.Response, error: Exception) -> ApiError:
    """Return the error of an answer that a gateway gave, or a service of another version."""
    where = place(answer.request.method, answer.url)
    detail = f"{where} was not answered as qrmill does: {error}."
    wait = seconds_to_wait(answer.headers) or 0.0
    return ApiError(answer.status_code, "not_qrmill", detail, retry_after=wait)
