"""Middleware that counts and times requests, for Prometheus."""

import time

import falcon
from falcon.constants import COMBINED_METHODS
from prometheus_client import CollectorRegistry, Counter, Histogram

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds
_METHODS = frozenset(COMBINED_METHODS)


class RequestMetrics:
    """Middleware that counts and times requests by route, never by path.

    The route is ``none`` for a request to an unknown path, and for a request that was rejected
    before routing because of its API key or a rate limit.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "qrmill_http_requests",
            "HTTP requests.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "qrmill_http_request_seconds",
            "Duration of HTTP requests in seconds. A POST to the bulk route with 2xx is the time "
            "to accept a job; a GET of a task includes the wait that its client requested.",
            ["route", "method", "status"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Record the start time of a request."""
        req.context.counted_from = time.perf_counter()

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        resource: object,
        req_succeeded: bool,
    ) -> None:
        """Count a response and observe the duration of its request."""
        route = req.uri_template or "none"
        method = req.method if req.method in _METHODS else "other"
        status = str(resp.status_code)
        seconds = time.perf_counter() - req.context.counted_from
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route, method, f"{status[0]}xx").observe(seconds)
