"""What happens to every request: an id, a key, its rates, a log line."""

import math
import re
import time
import uuid
from http import HTTPStatus

import falcon
import structlog

from api.http.problems import ProblemError
from pipeline.service import Service, Standing

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
#: An API key up to its secret, and what else its segment of a path has.
_API_KEY = re.compile(r"(qrmill_[0-9a-z]{12}_)[^/]+")
_KEY_HINT = "Send your API key in the header X-API-Key."


class RequestLog:
    """Gives a request its id, and writes one line when it is answered.

    The line has the path and never the query, the headers or the body, so no secret gets into it.
    A whole API key in the path, where its id belongs, is cut off behind the id.
    """

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the client's request id if it sent a plain one, or make one."""
        given = req.get_header("X-Request-ID") or ""
        request_id = given if _REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
        req.context.request_id = request_id
        req.context.started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        resp.set_headers(
            {
                "X-Request-ID": request_id,
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            }
        )

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        resource: object,
        req_succeeded: bool,
    ) -> None:
        """Write the line."""
        log.info(
            "request",
            method=req.method,
            path=_API_KEY.sub(r"\1…", req.path),
            status=int(resp.status_code),
            ms=round((time.perf_counter() - req.context.started) * 1000, 1),
            key=getattr(req.context.get("key"), "name", None),
        )


class Authentication:
    """Lets nobody in without a key, and no key over its rates.

    Args:
        service: knows keys and rates.
        public: paths that answer without a key; below one that ends in a slash, all.
    """

    def __init__(self, service: Service, public: frozenset[str]) -> None:
        self._service = service
        self._public = public

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Find the key of a request and count it against its rates.

        Raises:
            ProblemError: 401 without a known key, 429 over its rate.
        """
        if self._is_public(req.path):
            return
        token = req.get_header("X-API-Key")
        key = self._service.api_keys.authenticate(token or "")
        if key is None:
            raise unauthorized(has_key=token is not None)
        req.context.key = key
        standing = self._service.rate_limits.hit(key)
        resp.set_headers(rate_headers(standing, time.time()))
        if not standing.allowed:
            window = standing.tightest
            raise over_rate(window.limit, window.seconds, window.resets_at - time.time())

    def _is_public(self, path: str) -> bool:
        return path in self._public or any(
            path.startswith(prefix) for prefix in self._public if prefix.endswith("/")
        )


def rate_headers(standing: Standing, now: float) -> dict[str, str]:
    """Return the headers that tell a key's standing at ``now``, in seconds since the epoch."""
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
