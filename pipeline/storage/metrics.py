"""The service's requests to S3, for Prometheus: counted by boto3's own events.

Nothing is measured at the call sites, so no call is forgotten. Operations are the S3 API's names;
the service uses about a dozen. Signing a URL is no call and is not counted.
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
#: Where a call carries when it began.
_STARTED = "started"


class S3Metrics:
    """Calls of one process's S3 clients."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._seconds = Histogram(
            "qrmill_s3_call_seconds",
            "Seconds until S3 answered, retries included and the body of a GET not.",
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
            "Requests that were sent again.",
            ["operation"],
            registry=self.registry,
        )
        self._bytes = Counter(
            "qrmill_s3_bytes",
            "Bytes of bodies sent and announced in answers.",
            ["operation", "direction"],
            registry=self.registry,
        )

    def watch(self, client: "S3Client") -> None:
        """Count what ``client`` asks from now on."""
        events = client.meta.events
        events.register("before-call.s3", self._before)
        events.register("needs-retry.s3", self._attempted)
        events.register("after-call.s3", self._after)
        events.register("after-call-error.s3", self._after_error)

    def _before(
        self, model: OperationModel, params: dict[str, Any], context: dict[str, Any], **_: object
    ) -> None:
        context[_STARTED] = time.perf_counter()
        for outcome in _OUTCOMES:  # so that the first failure is a step from 0, which is a rate
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
