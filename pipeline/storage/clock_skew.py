"""Correction of the local clock by the S3 server's clock, for signatures.

S3 rejects a signature whose time is more than 15 minutes off (S3 API Reference, error
``RequestTimeTooSkewed``). Every response carries the server's time in its ``Date`` header. After
the first response, even an error, requests and download URLs are signed with the server's time.
Only attached clients are corrected. Other boto3 clients of the process sign with the local clock.
"""

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from botocore.auth import SIGV4_TIMESTAMP
from botocore.awsrequest import AWSRequest, AWSResponse

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

#: Seconds that two clocks may differ without a correction.
_TOLERATED = 60
#: Statuses of rejected requests.
_REJECTIONS = range(HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR)
_OFFSET = "qrmill_clock_offset"


class ClockSkew:
    """The offset of the server's clock from the local one, observed and applied by S3 clients."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Return the server's time, in seconds since the epoch."""
        return time.time() + self._offset

    def attach(self, client: "S3Client") -> None:
        """Make ``client`` observe the server's time and sign with it."""
        client.meta.events.register("response-received.s3", self._observe)
        client.meta.events.register("before-sign.s3", self._tag_request)
        # The handler returns a delay, which the stubs do not declare.
        client.meta.events.register("needs-retry.s3", self._retry)  # type: ignore[arg-type]

    def _observe(self, response_dict: dict[str, Any] | None, **_: object) -> None:
        date = (response_dict or {}).get("headers", {}).get("date")
        with suppress(ValueError, TypeError):  # no date, or a malformed one
            offset = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
            self._offset = offset if abs(offset) > _TOLERATED else 0.0

    def _tag_request(self, request: AWSRequest, **_: object) -> None:
        """Record the current offset in ``request`` and apply it to the signature."""
        request.context[_OFFSET] = self._offset
        if self._offset:
            request.context = _SkewedContext(request.context, self._offset)

    def _retry(
        self,
        attempts: int,
        response: tuple[AWSResponse, object] | None,
        request_dict: dict[str, Any],
        **_: object,
    ) -> float | None:
        """Return the delay in seconds before a retry, or None to leave the decision to botocore.

        Servers reject a wrong time with different codes and statuses. The first attempt is
        therefore retried if it was rejected for any reason and its response changed the offset.
        """
        rejected = response is not None and response[0].status_code in _REJECTIONS
        observed = abs(self._offset - request_dict["context"].get(_OFFSET, 0.0)) > _TOLERATED
        return 0.0 if attempts == 1 and rejected and observed else None


class _SkewedContext(dict[str, Any]):
    """A request's context that adds an offset to the ``timestamp`` stored in it.

    botocore's signers store the local time in the context and then sign with the stored time
    (``botocore.auth.SigV4Auth.add_auth``). No event is emitted between the two steps.
    """

    def __init__(self, context: Mapping[str, Any], offset: float) -> None:
        super().__init__(context)
        self._offset = timedelta(seconds=offset)

    def __setitem__(self, name: str, value: Any) -> None:  # noqa: ANN401 - as in the base class
        if name == "timestamp":
            read = datetime.strptime(value, SIGV4_TIMESTAMP).replace(tzinfo=UTC)
            value = (read + self._offset).strftime(SIGV4_TIMESTAMP)
        super().__setitem__(name, value)
