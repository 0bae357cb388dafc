"""Prometheus metrics of the service's S3 requests, counted by boto3's events.

No code at the call sites is needed, so every call is counted. The operations have the names of the
S3 API; the service uses about a dozen. Signing a URL sends no request and is not counted.
"""

import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.awsrequest import AWSResponse
from botocore.model import OperationModel
from botocore.utils import determine_content_length
from prometheus_client import CollectorRegistry, Counter, Histogram

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)  # seconds
_OUTCOMES = ("ok", "missing", "refused", "failed", "unreachable")
#: Key in a call's context that holds its start time.
_STARTED = "started"


class S3Metrics:
    """The metrics of one process's S3 clients."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "qrmill_s3_call_seconds",
            "Seconds until S3 responded, including retries, without the body of a GET.",
            ["operation"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._calls = Counter(
            "qrmill_s3_calls",
            "Calls by outcome: ok, missing (404), refused (other 4xx), failed (5xx), unreachable.",
            ["operation", "outcome"],
            registry=self.registry,
        )
        self._retries = Counter(
            "qrmill_s3_retries",
            "Retries of requests.",
            ["operation"],
            registry=self.registry,
        )
        self._bytes = Counter(
            "qrmill_s3_bytes",
            "Bytes of request bodies sent, and of response bodies as announced by S3.",
            ["operation", "direction"],
            registry=self.registry,
        )

    def watch(self, client: "S3Client") -> None:
        """Count the requests of ``client`` from now on."""
        events = client.meta.events
        events.register("before-call.s3", self._before)
        events.register("needs-retry.s3", self._attempted)
        events.register("after-call.s3", self._after)
        events.register("after-call-error.s3", self._after_error)

    def _before(
        self, model: OperationModel, params: dict[str, Any], context: dict[str, Any], **_: object
    ) -> None:
        context[_STARTED] = time.perf_counter()
        for outcome in _OUTCOMES:  # rates need the series to begin at 0
            self._calls.labels(model.name, outcome)
        self._retries.labels(model.name)
        self._bytes.labels(model.name, "sent").inc(determine_content_length(params["body"]) or 0)

    def _attempted(self, operation: OperationModel, attempts: int, **_: object) -> None:
        if attempts > 1:
            self._retries.labels(operation.name).inc()

    def _after(
        self,
        http_response: AWSResponse,
        model: OperationModel,
        context: dict[str, Any],
        **_: object,
    ) -> None:
        self._count(model.name, _outcome(http_response.status_code), context)
        received = http_response.headers.get("content-length", "")
        if model.name == "GetObject" and received.isdecimal():
            self._bytes.labels(model.name, "received").inc(int(received))

    def _after_error(self, event_name: str, context: dict[str, Any], **_: object) -> None:
        operation = event_name.rpartition(".")[2]
        self._count(operation, "unreachable", context)

    def _count(self, operation: str, outcome: str, context: dict[str, Any]) -> None:
        self._calls.labels(operation, outcome).inc()
        self._seconds.labels(operation).observe(time.perf_counter() - context[_STARTED])


def _outcome(status: int) -> str:
    if status == HTTPStatus.NOT_FOUND:
        return "missing"
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    return "refused" if status >= HTTPStatus.BAD_REQUEST else "ok"
