"""Middleware that authenticates every request and counts it against its key's rate limits."""

import math
import time
from http import HTTPStatus

import falcon
import structlog

from api.http.problems import ProblemError
from pipeline.service import ApiKeys, LedgerReadOnlyError, RateLimits, Standing

log = structlog.get_logger(__name__)

#: Methods whose requests are processed without being counted while Redis rejects writes.
_READS = frozenset({"GET", "HEAD"})
#: Details of the 401 problem.
NO_KEY = (
    "The request has no API key. Send your key in the header X-API-Key, or as Authorization: "
    "Bearer KEY."
)
UNKNOWN_KEY = "The API key of the request is unknown, expired or revoked. Send a valid key."
TWO_KEYS = (
    "The headers X-API-Key and Authorization have different API keys. Send one key, in either "
    "header."
)
#: ``WWW-Authenticate``. Bearer needs at least one parameter (RFC 6750, section 3).
CHALLENGES = 'ApiKey header="X-API-Key", Bearer realm="qrmill"'
#: Optional white space around the value of a header (RFC 9110, section 5.6.3).
_BLANKS = " \t"


class Authentication:
    """Middleware that rejects requests without a valid API key and requests over a rate limit.

    Args:
        api_keys: the keys that are accepted.
        rate_limits: counts the requests of each key.
        public: paths that need no key. A path that ends in a slash includes all paths below it.
    """

    def __init__(self, api_keys: ApiKeys, rate_limits: RateLimits, public: frozenset[str]) -> None:
        self._api_keys = api_keys
        self._rate_limits = rate_limits
        self._public = public

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Authenticate a request and count it against the rate limits of its key.

        While Redis rejects writes, polls and other reads are not counted, so that the bundle of a
        completed job can still be fetched. Their responses have no rate headers.

        Raises:
            ProblemError: 401 if the request has no valid key, 429 if the key is over a limit.
        """
        if self._is_public(req.path):
            return
        token = sent_key(req)
        key = self._api_keys.authenticate(token or "")
        if key is None:
            raise unauthorized(NO_KEY if token is None else UNKNOWN_KEY)
        req.context.key = key
        count_request(self._rate_limits, req, resp)

    def _is_public(self, path: str) -> bool:
        return path in self._public or any(
            path.startswith(prefix) for prefix in self._public if prefix.endswith("/")
        )


def count_request(limits: RateLimits, req: falcon.Request, resp: falcon.Response) -> None:
    """Count a request against the rate limits of its key, and add the rate headers.

    While Redis rejects writes, polls and other reads are not counted, and have no rate headers.

    Raises:
        ProblemError: 429 if the key is over a limit.
    """
    try:
        standing = limits.hit(req.context.key)
    except LedgerReadOnlyError as error:
        if req.method not in _READS:
            raise
        log.warning("request not counted", reason=str(error))
        return
    resp.set_headers(rate_headers(standing, time.time()))
    if not standing.allowed:
        window = standing.tightest
        raise over_rate(window.limit, window.seconds, window.resets_at - time.time())


def rate_headers(standing: Standing, now: float) -> dict[str, str]:
    """Return the rate limit headers of a response.

    Args:
        standing: number of requests that the key may still send in each window.
        now: current time in seconds since the epoch.
    """
    policy = ", ".join(f"{window.limit};w={window.seconds}" for window in standing.windows)
    tightest = standing.tightest
    limit, remaining = str(tightest.limit), str(tightest.remaining)
    return {
        "RateLimit-Policy": policy,
        "RateLimit-Limit": limit,
        "RateLimit-Remaining": remaining,
        "RateLimit-Reset": str(max(0, math.ceil(tightest.resets_at - now))),
        "X-RateLimit-Limit": limit,
        "X-RateLimit-Remaining": remaining,
        "X-RateLimit-Reset": str(math.ceil(tightest.resets_at)),
    }


def sent_key(req: falcon.Request) -> str | None:
    """Return the API key of a request: ``X-API-Key``, or ``Authorization: Bearer``.

    Returns None if the request has none. An Authorization header of another scheme is not for this
    service: a proxy in front of it may have its own authentication.

    Raises:
        ProblemError: 401 if the headers have different keys.
    """
    key, bearer = req.get_header("X-API-Key"), _bearer_token(req.get_header("Authorization") or "")
    if key is not None and bearer is not None and key != bearer:
        raise unauthorized(TWO_KEYS)
    return bearer if key is None else key


def _bearer_token(authorization: str) -> str | None:
    """Return the token of an Authorization header, or None if it has another scheme.

    The scheme is matched without regard to case (RFC 9110, section 11.1).
    """
    scheme, _, token = authorization.strip(_BLANKS).partition(" ")
    return token.strip(_BLANKS) if scheme.lower() == "bearer" else None


def unauthorized(detail: str) -> ProblemError:
    """Return the 401 problem of a request without an API key, with an invalid one, or with two."""
    return ProblemError(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        detail,
        headers={"WWW-Authenticate": CHALLENGES},
    )


def over_rate(limit: int, window: int, left: float) -> ProblemError:
    """Return the 429 problem of a key that is over a rate limit.

    Args:
        limit: requests that the key may send per window.
        window: length of the window in seconds, a minute or a day.
        left: seconds until the next window begins.
    """
    seconds = max(1, math.ceil(left))
    unit = "minute" if window == 60 else "day"  # noqa: PLR2004 - seconds of a minute
    return ProblemError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "over_rate",
        f"This API key may send {limit} requests per {unit} and has reached this limit. Send the "
        f"request again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
