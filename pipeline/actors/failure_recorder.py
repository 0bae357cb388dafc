"""Dramatiq middleware that records in the ledger why a message has failed permanently."""

import traceback

import structlog
from dramatiq import Broker, MessageProxy
from dramatiq.middleware import Middleware, TimeLimitExceeded

from pipeline.broker.inspection import Queues, assign_dead_letter_id, letter_id
from pipeline.broker.names import BUNDLE_ACTOR, WEBHOOK_ACTOR
from pipeline.errors import (
    BrokerUnavailableError,
    LedgerUnavailableError,
    ObjectMissingError,
    StoreUnavailableError,
    UnverifiedError,
)
from pipeline.ledger.ledger import Ledger
from pipeline.model.failure_reasons import (
    BROKER_UNAVAILABLE,
    BUNDLE_FAILED,
    FAILS_NO_JOB,
    LEDGER_UNAVAILABLE,
    OBJECT_MISSING,
    REASONS,
    RENDER_FAILED,
    STORAGE_UNAVAILABLE,
    TIME_LIMIT,
    UNVERIFIED,
    Failure,
)
from pipeline.webhooks.sender import CallbackFailedError

log = structlog.get_logger(__name__)

#: Message option that carries the error code of the last attempt from one hook to the next.
ERROR_CODE = "error_code"
#: Message option with the clause for clients that names the item which failed verification.
_REASON = "error_reason"
#: Message option with the traceback. Dramatiq's ``Retries`` also sets this option, and Dramatiq's
#: dashboard shows it.
_TRACEBACK = "traceback"
_MOST_FRAMES = 30
_NO_LETTER = "the message is not a dead letter; it is delivered or enqueued again"

_CODES: tuple[tuple[type[BaseException], str], ...] = (
    (StoreUnavailableError, STORAGE_UNAVAILABLE),
    (ObjectMissingError, OBJECT_MISSING),
    (LedgerUnavailableError, LEDGER_UNAVAILABLE),
    (BrokerUnavailableError, BROKER_UNAVAILABLE),
    (TimeLimitExceeded, TIME_LIMIT),
    (UnverifiedError, UNVERIFIED),
)


class FailureRecorder(Middleware):
    """Records in the ledger that the chunk and the job of a dead letter have failed.

    Dead letters of webhooks are not recorded, because their jobs have already ended. A failed
    delivery has already been recorded by the webhook sender. After any other error, the state of
    the webhook does not change, and the webhook is attempted again.
    """

    def __init__(self, ledger: Ledger, queues: Queues) -> None:
        self._ledger = ledger
        self._queues = queues

    def after_process_message(
        self,
        broker: Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        """Record the error code of a failed attempt.

        The record also shows that the attempt did not end with a crash of its worker.
        """
        if exception is None:
            return
        if message.actor_name == WEBHOOK_ACTOR:
            if not isinstance(exception, CallbackFailedError):
                log.warning("webhook attempt aborted", reason=type(exception).__name__)
            return
        code = error_code(message.actor_name, exception)
        reason = str(exception) if isinstance(exception, UnverifiedError) else REASONS[code]
        message.options.update({ERROR_CODE: code, _REASON: reason})
        lines = traceback.format_exception(exception, limit=_MOST_FRAMES)
        message.options[_TRACEBACK] = "".join(lines)
        if message.actor_name != BUNDLE_ACTOR:
            failure = Failure(code, f"An attempt failed: {reason}.")
            task_id, chunk_index = message.args
            self._ledger.record_attempt_error(task_id, chunk_index, failure)

    def before_nack(self, broker: Broker, message: MessageProxy) -> None:
        """Assign an id to the dead letter if its failure will be recorded."""
        if message.actor_name != WEBHOOK_ACTOR and _code(message) not in FAILS_NO_JOB:
            assign_dead_letter_id(message)

    def after_nack(self, broker: Broker, message: MessageProxy) -> None:
        """Record the failure if the message is now a dead letter."""
        if message.actor_name == WEBHOOK_ACTOR:
            return
        code = _code(message)
        # The error is attached before the failure is recorded: a failure must not be visible before
        # the dead letter that can be requeued to undo it.
        if not self._queues.attach_error(message):
            log.warning("failure not recorded", error_code=code, reason=_NO_LETTER)
            return
        tries = message.options.get("retries", 1)
        task_id, *chunk = message.args
        what = f"Chunk {chunk[0]}" if chunk else "Building the bundle"
        count = "1 try" if tries == 1 else f"{tries} tries"
        detail = f"{what} failed after {count}: {_reason(message, code)}."
        log.error("failed permanently", error_code=code, tries=tries)
        if code not in FAILS_NO_JOB:
            index = chunk[0] if chunk else None
            failure = Failure(code, detail)
            self._ledger.fail_job(task_id, failure, index, letter_id(message), message.message_id)


def _code(message: MessageProxy) -> str:
    return str(message.options.get(ERROR_CODE, RENDER_FAILED))


def _reason(message: MessageProxy, code: str) -> str:
    reason = message.options.get(_REASON) if code == UNVERIFIED else None
    return str(reason or REASONS[code])


def error_code(actor: str, exception: BaseException) -> str:
    """Return the ``error_code`` that the API reports for an exception of an actor."""
    for kind, code in _CODES:
        if isinstance(exception, kind):
            return code
    return BUNDLE_FAILED if actor == BUNDLE_ACTOR else RENDER_FAILED
