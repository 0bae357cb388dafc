"""Webhooks: send a signed event when a job has ended, until the receiver returns 2xx.

The format is that of Standard Webhooks 1.0.0. Its headers are ``webhook-id`` (the same in every
attempt), ``webhook-timestamp`` (time of the attempt) and ``webhook-signature`` (one signature per
active secret). The body contains the task id but no download URL. Download URLs are returned only
to polls with the API key.
"""

import time
from datetime import UTC, datetime

import msgspec
import structlog

from pipeline.errors import StoreUnavailableError
from pipeline.model.jobs import poll_url
from pipeline.model.records import CallbackRecord
from pipeline.model.states import CallbackState
from pipeline.storage.records import JobRecords
from pipeline.webhooks.addresses import NotReachableError, resolve
from pipeline.webhooks.events import make_event
from pipeline.webhooks.headers import signed_headers
from pipeline.webhooks.http import DeliveryError, Response, post
from pipeline.webhooks.schedule import Attempt, Callbacks, next_delay
from pipeline.webhooks.secrets import WebhookSecrets
from pipeline.webhooks.slots import Slots
from pipeline.webhooks.urls import CallbackRules, parse_callback_url
from render.errors import InvalidValueError

log = structlog.get_logger(__name__)

#: Maximum duration of an attempt, in milliseconds.
WEBHOOK_TIME_LIMIT = 2 * 60_000

_GONE = 410
_SUCCESS = range(200, 300)


class CallbackFailedError(Exception):
    """Raised when a webhook has failed permanently; its message becomes a dead letter."""


class WebhookSender:
    """Sender of webhooks; thread-safe.

    Args:
        callbacks: state of the webhooks in the ledger.
        secrets: webhook secrets of the tenants.
        records: job records in S3, where results of webhooks are written.
        slots: slots of this process for webhooks that are being sent.
        rules: rules for callback URLs.
        prefix: prefix of the API's paths, for the poll URL in the body.
        lease: milliseconds after which an attempt counts as dead and another may begin.
    """

    def __init__(
        self,
        callbacks: Callbacks,
        secrets: WebhookSecrets,
        records: JobRecords,
        slots: Slots,
        *,
        rules: CallbackRules,
        prefix: str,
        lease: int,
    ) -> None:
        self._callbacks = callbacks
        self._secrets = secrets
        self._records = records
        self._slots = slots
        self._rules = rules
        self._prefix = prefix
        self._lease = lease

    def run(self, task_id: str, message_id: str) -> bool:
        """Make an attempt to deliver a job's webhook, if one is due.

        Returns False if this process has no free slot for the tenant that owns the job; the
        message has to be delivered again later.

        Args:
            task_id: id of the job that has ended.
            message_id: id of the message being processed.

        Raises:
            CallbackFailedError: the last attempt failed, or the receiver returned 410 (Gone).
            LedgerUnavailableError: Redis is unreachable; try again later.
        """
        with self._slots.slot(self._callbacks.owner(task_id)) as slot:
            if slot is None:
                return False
            attempt = self._callbacks.claim(task_id, self._lease, message_id)
            if attempt is None:
                log.info(
                    "webhook skipped", reason="no attempt is due, or another worker is making it"
                )
            else:
                slot.succeeded = False
                slot.succeeded = self._execute(attempt)
        return True

    def _execute(self, attempt: Attempt) -> bool:
        """Make an attempt; return whether it succeeded."""
        try:
            response = self._send(attempt)
        except _NoResponseError as error:
            self._reschedule(attempt, str(error))
            return False
        if response.status in _SUCCESS:
            self._succeed(attempt)
        elif response.status == _GONE:
            self._give_up(attempt, f"receiver returned {response.status} (Gone): no more attempts")
        else:
            self._reschedule(attempt, f"receiver returned {response.status}", response.retry_after)
        return response.status in _SUCCESS

    def _send(self, attempt: Attempt) -> Response:
        job = attempt.job
        try:
            url = parse_callback_url(job.callback_url, self._rules)
            body = msgspec.json.encode(
                make_event(job, attempt.result, poll_url(self._prefix, job.task_id))
            )
            headers = self._signed(attempt, body)
            addresses = resolve(url.host, url.port, self._rules.networks)
            return post(url, addresses, body, headers)
        except InvalidValueError:
            raise _NoResponseError("not sent: the callback URL is no longer allowed") from None
        except StoreUnavailableError:
            raise _NoResponseError("not sent: the object store is unavailable") from None
        except (NotReachableError, DeliveryError) as error:
            raise _NoResponseError(str(error)) from None

    def _signed(self, attempt: Attempt, body: bytes) -> dict[str, str]:
        secrets = self._secrets.signing(attempt.job.key_id)
        if not secrets:
            raise _NoResponseError("not sent: the tenant has no webhook secret")
        return signed_headers(attempt.event, datetime.now(UTC), body, secrets)

    def _succeed(self, attempt: Attempt) -> None:
        if self._callbacks.delivered(attempt):
            log.info("webhook delivered", attempt=attempt.number)
            self._record(attempt, "delivered")

    def _reschedule(self, attempt: Attempt, error: str, retry_after: float = 0.0) -> None:
        delay = next_delay(attempt.number, retry_after)
        if delay is None:
            self._give_up(attempt, error)
        elif self._callbacks.reschedule(attempt, error, delay):
            log.warning("webhook rescheduled", attempt=attempt.number, reason=error)

    def _give_up(self, attempt: Attempt, error: str) -> None:
        if self._callbacks.fail(attempt, error):
            log.error("webhook failed permanently", attempt=attempt.number, reason=error)
            self._record(attempt, "failed", error)
            raise CallbackFailedError(f"attempt {attempt.number} was the last one: {error}")

    def _record(self, attempt: Attempt, state: CallbackState, error: str | None = None) -> None:
        record = CallbackRecord(
            job_state=attempt.result.state,
            job_error_code=attempt.result.error_code,
            callback_state=state,
            callback_event=attempt.event,
            callback_attempts=attempt.number,
            callback_error=error,
            callback_delivered_at=time.time_ns() // 1_000_000 if state == "delivered" else None,
        )
        try:
            self._records.write_callback(attempt.job.task_id, record)
        except StoreUnavailableError as reason:
            # The ledger has the result. The webhook is sent again only if Redis loses the result.
            log.warning("webhook result not recorded", reason=str(reason))


class _NoResponseError(Exception):
    """Raised when an attempt got no response; the message gives the reason, for the client."""
