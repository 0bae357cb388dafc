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
_NO_KEY = "The request has no API key. Send your key in the X-API-Key header."
_UNKNOWN_KEY = "The API key in the X-API-Key header is unknown or revoked. Send a valid key."


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
        token = req.get_header("X-API-Key")
        key = self._api_keys.authenticate(token or "")
        if key is None:
            raise unauthorized(has_key=token is not None)
        req.context.key = key
        try:
            standing = self._rate_limits.hit(key)
        except LedgerReadOnlyError as error:
            if req.method not in _READS:
                raise
            log.warning("request not counted", reason=str(error))
            return
        resp.set_headers(rate_headers(standing, time.time()))
        if not standing.allowed:
            window = standing.tightest
            raise over_rate(window.limit, window.seconds, window.resets_at - time.time())

    def _is_public(self, path: str) -> bool:
        return path in self._public or any(
            path.startswith(prefix) for prefix in self._public if prefix.endswith("/")
        )


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


def unauthorized(*, has_key: bool) -> ProblemError:
    """Return the 401 problem of a request without an API key, or with an invalid one."""
    return ProblemError(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        _UNKNOWN_KEY if has_key else _NO_KEY,
        headers={"WWW-Authenticate": 'ApiKey header="X-API-Key"'},
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
