"""Middleware that authenticates every request and counts it against its key's rates."""

import math
import time
from http import HTTPStatus

import falcon

from api.http.problems import ProblemError
from pipeline.service import ApiKeys, RateLimits, Standing

_KEY_HINT = "Send your API key in the header X-API-Key."


class Authentication:
    """Refuses requests without a key, and those of a key that is over its rates.

    Args:
        api_keys: the known keys.
        rate_limits: counts the requests of each.
        public: paths that need no key; one that ends in a slash includes all paths below it.
    """

    def __init__(self, api_keys: ApiKeys, rate_limits: RateLimits, public: frozenset[str]) -> None:
        self._api_keys = api_keys
        self._rate_limits = rate_limits
        self._public = public

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Find the key of a request and count it against its rates.

        Raises:
            ProblemError: 401 without a known key, 429 over its rate.
        """
        if self._is_public(req.path):
            return
        token = req.get_header("X-API-Key")
        key = self._api_keys.authenticate(token or "")
        if key is None:
            raise unauthorized(has_key=token is not None)
        req.context.key = key
        standing = self._rate_limits.hit(key)
        resp.set_headers(rate_headers(standing, time.time()))
        if not standing.allowed:
            window = standing.tightest
            raise over_rate(window.limit, window.seconds, window.resets_at - time.time())

    def _is_public(self, path: str) -> bool:
        return path in self._public or any(
            path.startswith(prefix) for prefix in self._public if prefix.endswith("/")
        )


def rate_headers(standing: Standing, now: float) -> dict[str, str]:
    """Return the rate headers for a key's standing at ``now``, in seconds since the epoch."""
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
    """Return the 401 of a request without a key, or with an unknown one."""
    sent = "an unknown key" if has_key else "no key"
    return ProblemError(
        HTTPStatus.UNAUTHORIZED,
        "unauthorized",
        f"The request has {sent}. {_KEY_HINT}",
        headers={"WWW-Authenticate": 'ApiKey header="X-API-Key"'},
    )


def over_rate(limit: int, window: int, left: float) -> ProblemError:
    """Return the 429 of a key that is over its rate.

    Args:
        limit: requests per window.
        window: its length in seconds, a minute or a day.
        left: seconds until the next window.
    """
    seconds = max(1, math.ceil(left))
    unit = "minute" if window == 60 else "day"  # noqa: PLR2004 - seconds of a minute
    return ProblemError(
        HTTPStatus.TOO_MANY_REQUESTS,
        "over_rate",
        f"This key may send {limit} requests a {unit}. Try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )
