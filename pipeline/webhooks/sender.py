"""Webhooks: send a signed event to a callback URL when a job has ended, until it returns 2xx.

The form is that of Standard Webhooks 1.0.0: the headers ``webhook-id`` (the same in every
attempt), ``webhook-timestamp`` (of the attempt) and ``webhook-signature`` (one a secret that signs
now). The body names the task and never a download URL, which only a poll with the API key gives.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from pipeline.webhooks.http import Answer, DeliveryError, post
from pipeline.webhooks.schedule import Attempt, Callbacks, next_delay
from pipeline.webhooks.secrets import WebhookSecrets
from pipeline.webhooks.urls import CallbackRules, parse_callback_url
from render.errors import InvalidValueError

log = structlog.get_logger(__name__)

#: Milliseconds that an attempt may take.
WEBHOOK_TIME_LIMIT = 2 * 60_000

_GONE = 410
_SUCCESS = range(200, 300)
#: Callbacks that one worker process sends at once, each of another API key, so that the slow
#: receivers of one key hold neither the callbacks of others nor more than one of its threads.
_AT_ONCE = 4


class CallbackFailedError(Exception):
    """A callback could not be delivered; its message becomes a dead letter."""


class WebhookSender:
    """Delivers callbacks; may be shared between threads.

    Args:
        callbacks: where they stand.
        secrets: what they are signed with.
        records: where their ends are recorded.
        rules: what callback URLs may be.
        prefix: of the API's paths, for the poll URL in the body.
        lease: milliseconds after which an attempt counts as dead.
    """

    def __init__(
        self,
        callbacks: Callbacks,
        secrets: WebhookSecrets,
        records: JobRecords,
        *,
        rules: CallbackRules,
        prefix: str,
        lease: int,
    ) -> None:
        self._callbacks = callbacks
        self._secrets = secrets
        self._records = records
        self._rules = rules
        self._prefix = prefix
        self._lease = lease
        self._lock = threading.Lock()
        self._busy: set[str] = set()  # ids of the API keys whose callbacks are being sent

    def run(self, task_id: str, message_id: str) -> bool:
        """Make an attempt if one is due; False when this process has no hand free for its API key.

        Args:
            task_id: the job that has ended.
            message_id: of the message that asks for it.

        Raises:
            CallbackFailedError: it was the last attempt, or the receiver wants no more.
            LedgerUnavailableError: try again later.
        """
        with self._hand(self._callbacks.owner(task_id)) as free:
            if not free:
                return False
            attempt = self._callbacks.claim(task_id, self._lease, message_id)
            if attempt is None:
                log.info("webhook skipped", reason="none is due, or another is at it")
            else:
                self._try(attempt)
        return True

    @contextmanager
    def _hand(self, key_id: str) -> Iterator[bool]:
        """Give a hand for a callback of an API key; False when there is none now."""
        with self._lock:
            free = key_id not in self._busy and len(self._busy) < _AT_ONCE
            if free:
                self._busy.add(key_id)
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._busy.remove(key_id)

    def _try(self, attempt: Attempt) -> None:
        try:
            answer = self._send(attempt)
        except _NotSentError as error:
            self._put_off(attempt, str(error))
            return
        if answer.status in _SUCCESS:
            self._succeed(attempt)
        elif answer.status == _GONE:
            self._give_up(attempt, f"answered {answer.status}: it wants no more")
        else:
            self._put_off(attempt, f"answered {answer.status}", answer.retry_after)

    def _send(self, attempt: Attempt) -> Answer:
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
            raise _NotSentError("not sent: the service allows no such URL now") from None
        except StoreUnavailableError:
            raise _NotSentError("not sent: the object store did not answer") from None
        except (NotReachableError, DeliveryError) as error:
            raise _NotSentError(str(error)) from None

    def _signed(self, attempt: Attempt, body: bytes) -> dict[str, str]:
        secrets = self._secrets.signing(attempt.job.key_id)
        if not secrets:
            raise _NotSentError("not sent: the API key has no webhook secret")
        return signed_headers(attempt.event, datetime.now(UTC), body, secrets)

    def _succeed(self, attempt: Attempt) -> None:
        if self._callbacks.delivered(attempt):
            log.info("webhook delivered", attempt=attempt.number)
            self._record(attempt, "delivered")

    def _put_off(self, attempt: Attempt, error: str, retry_after: float = 0.0) -> None:
        delay = next_delay(attempt.number, retry_after)
        if delay is None:
            self._give_up(attempt, error)
        elif self._callbacks.reschedule(attempt, error, delay):
            log.warning("webhook rescheduled", attempt=attempt.number, reason=error)

    def _give_up(self, attempt: Attempt, error: str) -> None:
        if self._callbacks.fail(attempt, error):
            log.error("webhook failed permanently", attempt=attempt.number, reason=error)
            self._record(attempt, "failed", error)
            raise CallbackFailedError(f"attempt {attempt.number} was the last: {error}")

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
            # The ledger has it. Only should that be lost as well is the callback sent once more.
            log.warning("webhook result not recorded", reason=str(reason))


class _NotSentError(Exception):
    """An attempt that got no answer; the message says why, in words for a client."""
