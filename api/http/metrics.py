"""Middleware that counts and times requests, for Prometheus."""

import time

import falcon
from falcon.constants import COMBINED_METHODS
from prometheus_client import CollectorRegistry, Counter, Histogram

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds
_METHODS = frozenset(COMBINED_METHODS)


class RequestMetrics:
    """Counts and times requests by route, never by path.

    The route is ``none`` for a request to an unknown path, and for one that was refused before it
    was routed, because of its key or rate.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "qrmill_http_requests",
            "Requests answered.",
            ["route", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "qrmill_http_request_seconds",
            "Seconds to answer a request. Those of POST on the bulk route with 2xx are the time to "
            "accept a job; a poll may have waited as its client preferred.",
            ["route", "method", "status"],
            buckets=_BUCKETS,
            registry=self.registry,
        )

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Note when the request began."""
        req.context.counted_from = time.perf_counter()

    def process_response(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        resource: object,
        req_succeeded: bool,
    ) -> None:
        """Count the response and its time."""
        route = req.uri_template or "none"
        method = req.method if req.method in _METHODS else "other"
        status = str(resp.status_code)
        seconds = time.perf_counter() - req.context.counted_from
        self._requests.labels(route, method, status).inc()
        self._seconds.labels(route, method, f"{status[0]}xx").observe(seconds)
