"""State of webhooks in the ledger: due attempts, leases and results.

When a job with a callback URL ends, the same atomic step creates a pending webhook. When a job is
reopened, its webhook is dropped. The ledger alone decides what is sent and when: a message in the
queue only makes a worker check the ledger, so lost and duplicate messages do no harm.
"""

import random
from contextlib import suppress
from typing import NamedTuple, cast

import redis

from pipeline.broker.dispatcher import Dispatcher
from pipeline.broker.inspection import Queues
from pipeline.broker.names import WEBHOOK_QUEUE
from pipeline.errors import UnavailableError
from pipeline.ledger import keys
from pipeline.ledger.connection import translated
from pipeline.ledger.entries import job_fields, result_of
from pipeline.ledger.scripts import Scripts
from pipeline.model.records import JobFields, Result
from pipeline.model.states import CallbackState

#: Seconds between an attempt and the next. The first values are those of the example in Standard
#: Webhooks ("Deliverability and reliability"); the sum of all is 24 hours and 5 minutes.
SCHEDULE = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 8 * 3600, 30_600)
_JITTER = 0.1  # maximum share of a delay that is added to it at random
#: Maximum delay, in seconds, that a receiver can request with Retry-After. Standard Webhooks
#: ("Delivery success and failure") recommends considering the header, but does not require it.
LONGEST_RETRY_AFTER = 6 * 3600
#: Limit of the queue: while this many webhook messages wait in it, the sweep enqueues no more. The
#: end of a job enqueues a message regardless of the limit.
_WAITING = 100
#: Milliseconds after which a message is delivered again if its worker had no free slot for it.
_REQUEUE_DELAY = 1000


class Attempt(NamedTuple):
    """An attempt to deliver a webhook.

    Attributes:
        job: job that has ended.
        result: result of the job, which the webhook reports.
        event: id of the event, the same in every attempt.
        number: number of the attempt, counted from 1.
    """

    job: JobFields
    result: Result
    event: str
    number: int


class Callbacks:
    """State transitions of webhooks in the ledger. Times are in milliseconds.

    Every method except :meth:`enqueue` raises:
        LedgerUnavailableError: Redis is unreachable.
    """

    def __init__(self, client: redis.Redis, dispatcher: Dispatcher, queues: Queues) -> None:
        """Use the given backends.

        Args:
            client: Redis client that decodes responses.
            dispatcher: sends messages to the queue ``webhook``.
            queues: queues of the broker, to read the length of that queue.
        """
        self._client = client
        self._dispatcher = dispatcher
        self._queues = queues
        self._run = Scripts(client).run

    def enqueue(self, task_id: str) -> None:
        """Enqueue a message for a job's webhook if the webhook is pending.

        Errors are ignored: the sweep enqueues another message.
        """
        with suppress(UnavailableError), translated():
            if self._client.hget(keys.job(task_id), "callback_state") == "pending":
                self._dispatcher.send_callback(task_id)

    def enqueue_due(self, quiet: int) -> int:
        """Enqueue a message for each webhook that is due; return the number of messages.

        Args:
            quiet: time for which the webhooks found here do not count as due again.

        Raises:
            BrokerUnavailableError: the broker is unreachable.
        """
        room = _WAITING - self._waiting()
        if room <= 0:
            return 0
        found = cast("list[str]", self._run("take_due", [keys.CALLBACKS], room, quiet, 0))
        for task_id in found:
            self._dispatcher.send_callback(task_id)
        return len(found)

    def requeue_later(self, task_id: str) -> None:
        """Enqueue a delayed message for a job's webhook, unless many messages wait already.

        If many messages wait, the sweep enqueues a message for the webhook later. Half of the
        queue's limit is reserved for the sweep, which begins with the webhooks that have been due
        for longest. The webhooks of one slow receiver therefore cannot starve those of the others.

        Raises:
            BrokerUnavailableError: the broker is unreachable.
        """
        if self._waiting() < _WAITING // 2:
            self._dispatcher.send_callback(task_id, delay=_REQUEUE_DELAY)

    def owner(self, task_id: str) -> str:
        """Return the id of the tenant that owns a job; empty if the job is unknown."""
        with translated():
            return cast("str | None", self._client.hget(keys.job(task_id), "key_id")) or ""

    def claim(self, task_id: str, lease: int, message_id: str) -> Attempt | None:
        """Claim the next attempt, and return it.

        Returns None if no attempt is due. While another worker holds a lease, no attempt is due.

        Args:
            task_id: id of the job.
            lease: time that the attempt may take.
            message_id: Dramatiq's id of the message being processed. The message keeps this id when
                it becomes a dead letter and when it is requeued. After a webhook has failed
                permanently, only the message whose processing failed may start another attempt.
        """
        names = [keys.job(task_id), keys.CALLBACKS]
        reply = self._run("claim_callback", names, task_id, lease, message_id)
        if not reply:
            return None
        number, flat = reply
        fields = dict(zip(flat[::2], flat[1::2], strict=True))
        event = fields["callback_event"]
        return Attempt(job_fields(flat), result_of(fields), event, int(number))

    def delivered(self, attempt: Attempt) -> bool:
        """Record that the webhook was delivered.

        Returns False if the result does not count, for example because the job was reopened
        meanwhile.
        """
        return self._settle(attempt, "delivered")

    def reschedule(self, attempt: Attempt, error: str, delay: int) -> bool:
        """Record why an attempt failed, and that the next is due after ``delay``.

        Returns False if the result does not count, for example because another attempt began
        meanwhile.
        """
        return self._settle(attempt, "pending", error, delay)

    def fail(self, attempt: Attempt, error: str) -> bool:
        """Record that the webhook failed permanently, and why the last attempt failed.

        Returns False if the result does not count, for example because another attempt began
        meanwhile.
        """
        return self._settle(attempt, "failed", error)

    def _waiting(self) -> int:
        return self._queues.size(WEBHOOK_QUEUE)

    def _settle(
        self, attempt: Attempt, state: CallbackState, error: str = "", delay: int = 0
    ) -> bool:
        task_id = attempt.job.task_id
        names = [keys.job(task_id), keys.CALLBACKS]
        arguments = (task_id, attempt.event, attempt.number, state, error, delay)
        return bool(self._run("settle_callback", names, *arguments))


def next_delay(number: int, retry_after: float) -> int | None:
    """Return the milliseconds until the next attempt, or None after the last one.

    Args:
        number: number of the attempt that has failed, counted from 1.
        retry_after: seconds to wait that the receiver requested (Retry-After); 0 if none.
    """
    if number > len(SCHEDULE):
        return None
    wanted = max(SCHEDULE[number - 1], min(retry_after, LONGEST_RETRY_AFTER))
    return round(wanted * random.uniform(1, 1 + _JITTER) * 1000)  # noqa: S311 - not a secret
