"""Signing by the S3 server's clock when this machine's is wrong.

S3 refuses a signature whose time is more than a quarter of an hour off (S3 API reference, error
``RequestTimeTooSkewed``). Every answer says in its ``Date`` header what the server's time is; from
the first one on, refused or not, requests and download URLs are signed by it.
"""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import botocore.auth
from botocore.awsrequest import AWSRequest, AWSResponse

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

#: Seconds that two clocks may differ without anything being done about it.
_TOLERATED = 60
#: Statuses of refusals.
_REFUSALS = range(HTTPStatus.BAD_REQUEST, HTTPStatus.INTERNAL_SERVER_ERROR)
_OFFSET = "qrmill_clock_offset"


class ServerTime:
    """How far the server's clock is from ours, learnt by some clients and used by them all."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Return the server's time, in seconds since the epoch."""
        return time.time() + self._offset

    def follow(self, client: "S3Client") -> None:
        """Let ``client`` learn the server's time and sign by it."""
        botocore.auth.AUTH_TYPE_MAPS.update({"s3v4": _HeaderAuth, "s3v4-query": _QueryAuth})
        client.meta.events.register("response-received.s3", self._learn)
        client.meta.events.register("before-sign.s3", self._lend)
        # What the handler returns is the delay; the stubs do not know that.
        client.meta.events.register("needs-retry.s3", self._retry)  # type: ignore[arg-type]

    def _learn(self, response_dict: dict[str, Any] | None, **_: object) -> None:
        date = (response_dict or {}).get("headers", {}).get("date")
        with suppress(ValueError, TypeError):  # no date, or none that says when
            offset = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
            self._offset = offset if abs(offset) > _TOLERATED else 0.0

    def _lend(self, request: AWSRequest, **_: object) -> None:
        request.context[_OFFSET] = self._offset

    def _retry(
        self,
        attempts: int,
        response: tuple[AWSResponse, object] | None,
        request_dict: dict[str, Any],
        **_: object,
    ) -> float | None:
        """Return the seconds before a request is sent again that was signed by a wrong clock.

        Servers differ in the error's code and status, so what counts is a refusal and what it
        taught.
        """
        refused = response is not None and response[0].status_code in _REFUSALS
        learnt = abs(self._offset - request_dict["context"].get(_OFFSET, 0.0)) > _TOLERATED
        return 0.0 if attempts == 1 and refused and learnt else None


class _ByServerTime:
    """Moves a request's time before it is signed."""

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        offset = request.context.get(_OFFSET, 0.0)
        if offset:
            form = botocore.auth.SIGV4_TIMESTAMP
            moved = datetime.strptime(request.context["timestamp"], form)  # noqa: DTZ007 - it is UTC
            request.context["timestamp"] = (moved + timedelta(seconds=offset)).strftime(form)
        super()._modify_request_before_signing(request)  # type: ignore[misc]


class _HeaderAuth(_ByServerTime, botocore.auth.S3SigV4Auth):
    """Signs a request in its headers."""


class _QueryAuth(_ByServerTime, botocore.auth.S3SigV4QueryAuth):
    """Signs a URL in its query."""
