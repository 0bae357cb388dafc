"""HTTP requests of the client, sent within the rate limits and retried after transient errors."""

import random
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import NamedTuple, TypeVar

import httpx2
import msgspec

from .arguments import check_api_key
from .environment import EnvironmentTransport, create_tls_context, describe_proxy
from .errors import NOT_QRMILL, ApiError, QrmillError, UnreachableError
from .wire_types import Problem

#: Seconds: limit of the first pause, which doubles with every attempt, and limit of every pause.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
#: Seconds after the end of the patience in which a response may still arrive. The service may hold
#: a poll until the patience ends, and the response must not be lost.
_GRACE = 2.0

Result = TypeVar("Result")
Kind = TypeVar("Kind", bound=msgspec.Struct)
Body = bytes | Iterable[bytes]


class RetryPolicy(NamedTuple):
    """Retries transient errors with full-jitter backoff, never before the service's Retry-After.

    "Full jitter" means that each pause is random between zero and a limit that grows exponentially,
    so that clients that failed together do not retry together. Retry libraries do not fit: their
    pauses ignore Retry-After, and their time limits need the system's clock.

    Attributes:
        attempts: maximum number of attempts.
        patience: seconds that all attempts and the pauses between them may take.
        sleep: sleeps for a number of seconds.
        clock: returns seconds since any fixed time.
        on_retry: called with each error that is followed by another attempt.
    """

    attempts: int
    patience: float
    sleep: Callable[[float], None]
    clock: Callable[[], float]
    on_retry: Callable[[QrmillError], object]

    def call(self, attempt: Callable[[], Result], patience: float | None = None) -> Result:
        """Call ``attempt`` until it succeeds, and return its result.

        Args:
            attempt: makes one attempt.
            patience: seconds that all attempts may take, if fewer than the policy's.

        Raises:
            QrmillError: the error of the last attempt.
        """
        deadline = self.clock() + self.limit_patience(patience)
        number = 1
        while True:
            try:
                return attempt()
            except QrmillError as error:
                pause = error.retry_after + _jitter(number)
                too_late = self.clock() + pause > deadline
                if not error.transient or number >= self.attempts or too_late:
                    error.attempts = number
                    raise
                self.on_retry(error)
            self.sleep(pause)
            number += 1

    def limit_patience(self, patience: float | None) -> float:
        """Return the seconds that one request may take, given the ``patience`` of its caller."""
        return self.patience if patience is None else min(self.patience, patience)


class RedactedURL(httpx2.URL):
    """A URL whose text has no query, because the HTTP library logs the URL of each request."""

    def __str__(self) -> str:
        return str(httpx2.URL(self, query=None))


def open_http(url: str) -> httpx2.Client:
    """Return an HTTP client of the API at ``url``, which may be used for other servers as well.

    Raises:
        ValueError: an environment variable names an unusable proxy or unusable certificates.
    """
    transport = EnvironmentTransport(create_tls_context())
    transport.check(httpx2.URL(url))
    return httpx2.Client(base_url=url, transport=transport)


class Api:
    """The API, used with one key. Thread-safe.

    Args:
        http: HTTP client whose base URL is the API's. The client may send requests to other servers
            as well, so the key is not among its default headers.
        api_key: API key.
        timeout: seconds to wait for a connection, and for each piece of a response.
        policy: policy for retries.

    Raises:
        ValueError: the key is malformed.
    """

    def __init__(
        self, http: httpx2.Client, api_key: str, timeout: float, policy: RetryPolicy
    ) -> None:
        check_api_key(api_key)
        self._http = http
        self._headers = {"X-API-Key": api_key, "Accept": "application/json"}
        self._timeout = timeout
        self._policy = policy
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
    ) -> httpx2.Response:
        """Return the response to a request that may be sent more than once.

        Args:
            method: HTTP method.
            path: relative to the API's URL.
            headers: request headers.
            params: query parameters.
            body: returns the body from its beginning, once per attempt.
            held: seconds that the service may hold the response.
            patience: seconds that all attempts may take, if fewer than the policy's. The limit ends
                the wait for a silent server, but not for a server that keeps sending.
            attempts: maximum number of attempts, if fewer than the policy's.

        Raises:
            ApiError: the request was rejected.
            UnreachableError: the API did not respond.
        """
        deadline = self._policy.clock() + self._policy.limit_patience(patience)

        def attempt() -> httpx2.Response:
            self._await_rate(patience)
            remaining = deadline - self._policy.clock()
            request = self._http.build_request(
                method,
                path,
                headers=self._headers | dict(headers or {}),
                params=params,
                content=body() if body else None,
                timeout=min(self._timeout + held, max(remaining, 0) + _GRACE),
            )
            request.url = RedactedURL(request.url)
            return self._send_once(request)

        policy = self._policy._replace(attempts=attempts or self._policy.attempts)
        return policy.call(attempt, patience)

    def _send_once(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = self._http.send(request)
        except httpx2.HTTPError as error:
            where = describe_request(request.method, request.url)
            raise UnreachableError(f"{where} failed: {describe_error(error)}") from error
        self._note_rate(response)
        if response.is_success or response.status_code == HTTPStatus.NOT_MODIFIED:
            return response
        raise _rejection(response)

    def _note_rate(self, response: httpx2.Response) -> None:
        """Record when the next window begins if the key has no requests left in this one."""
        remaining = response.headers.get("RateLimit-Remaining")
        reset = response.headers.get("RateLimit-Reset", "")
        if remaining is not None and reset.isdecimal():
            now = self._policy.clock()
            self._resume_at = now + int(reset) if remaining.strip() == "0" else 0.0

    def _await_rate(self, patience: float | None) -> None:
        """Wait until the key's next window begins.

        If the wait would exceed the patience, return at once; the API then rejects the request.
        """
        pause = self._resume_at - self._policy.clock()
        if 0 < pause <= self._policy.limit_patience(patience):
            self._policy.sleep(pause)


def decode(response: httpx2.Response, kind: type[Kind]) -> Kind:
    """Return the body of a response, decoded as the type ``kind``.

    Raises:
        ApiError: the body does not have this type.
    """
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _not_understood(response, error) from None


def parse_retry_after(headers: httpx2.Headers) -> float | None:
    """Return Retry-After in seconds (RFC 9110, section 10.2.3); None if absent or malformed.

    A date is compared with the response's own Date, so that a wrong local clock does no harm.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        until = parsedate_to_datetime(value)
        now = parsedate_to_datetime(headers["Date"]) if "Date" in headers else datetime.now(UTC)
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):  # not a date, or one without a time zone
        return None


def describe_request(method: str, url: httpx2.URL) -> str:
    """Return a request as text, without user name, password and query, which may be secrets."""
    return f"{method} {url.scheme}://{url.netloc.decode()}{url.path}"


def describe_error(error: Exception) -> str:
    """Return an error's type and message; some connection errors have no message."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _jitter(attempt: int) -> float:
    limit = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (attempt - 1))
    return random.uniform(0, limit)  # noqa: S311 - spreads load, is not a secret


def _rejection(response: httpx2.Response) -> ApiError:
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return _not_understood(response, error)
    return ApiError(
        response.status_code,
        problem.error_code,
        problem.detail,
        problem.errors or (),
        errors_total=problem.errors_total,
        retryable=problem.retryable,
        retry_after=parse_retry_after(response.headers) or 0.0,
    )


def check_deleted(response: httpx2.Response) -> None:
    """Check that a response to a deletion has no content.

    A service of release 0.2.0 ignores the parameter ``purge``, and returns the status of the task.

    Raises:
        ApiError: the response has another status than 204.
    """
    if response.status_code != HTTPStatus.NO_CONTENT:
        reason = f"the status is {response.status_code} in place of 204"
        raise _not_understood(response, ValueError(reason))


def _not_understood(response: httpx2.Response, error: Exception) -> ApiError:
    """Return the error for a response that a gateway or another version of the service sent."""
    where = describe_request(response.request.method, response.url)
    through = describe_proxy(response)
    detail = f"{where}{through} did not return a qrmill response: {error}."
    retry_after = parse_retry_after(response.headers) or 0.0
    return ApiError(response.status_code, NOT_QRMILL, detail, retry_after=retry_after)
