"""Callbacks in the ledger: which are due, who is at it, and how they ended.

A job that ends with a callback URL gets a pending callback in the same atomic step, and one that is
opened again loses it. Messages about it are nudges, as everywhere: what counts is the ledger.
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

#: Seconds between an attempt and the next. The first ones are those that Standard Webhooks gives
#: as its example ("Deliverability and reliability"); all together they are 24 hours and 5 minutes.
SCHEDULE = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 8 * 3600, 30_600)
_JITTER = 0.1  # of a delay, at most, added to it
#: Seconds up to which a receiver's Retry-After puts an attempt off beyond the schedule: Standard
#: Webhooks ("Delivery success and failure") wants it taken into consideration, and not obeyed.
LONGEST_RETRY_AFTER = 6 * 3600
#: Messages about callbacks that may wait before no more of them are sent but by the end of a job.
_WAITING = 100
#: Milliseconds until a message comes again that found its worker busy with other callbacks.
_AGAIN = 1000


class Attempt(NamedTuple):
    """An attempt to deliver a callback.

    Attributes:
        job: whose callback it is.
        result: the end that it is about.
        event: id of that end, the same in every attempt.
        number: of the attempt, counted from 1.
    """

    job: JobFields
    result: Result
    event: str
    number: int


class Callbacks:
    """The steps of callbacks. Times are in milliseconds.

    Every method but :meth:`enqueue` raises:
        LedgerUnavailableError: Redis is out of reach.
    """

    def __init__(self, client: redis.Redis, dispatcher: Dispatcher, queues: Queues) -> None:
        """Take a Redis client that decodes responses, what sends messages, and where they wait."""
        self._client = client
        self._dispatcher = dispatcher
        self._queues = queues
        self._run = Scripts(client).run

    def enqueue(self, task_id: str) -> None:
        """Enqueue a message about a job's callback if it has one to come.

        If that fails, the sweep enqueues one.
        """
        with suppress(UnavailableError), translated():
            if self._client.hget(keys.job(task_id), "callback_state") == "pending":
                self._dispatcher.send_callback(task_id)

    def enqueue_due(self, quiet: int) -> int:
        """Send a message about each callback that is due; return how many were sent.

        Args:
            quiet: how long those that were found are left alone.

        Raises:
            BrokerUnavailableError: the broker is out of reach.
        """
        room = _WAITING - self._waiting()
        if room <= 0:
            return 0
        found = cast("list[str]", self._run("take_due", [keys.CALLBACKS], room, quiet, 0))
        for task_id in found:
            self._dispatcher.send_callback(task_id)
        return len(found)

    def requeue_later(self, task_id: str) -> None:
        """Send a message again a little later; when many wait, that is left to the sweep.

        Half of the room is kept for the sweep, which begins with those that have been due for
        longest: the callbacks of one slow receiver leave no others without a nudge.

        Raises:
            BrokerUnavailableError: the broker is out of reach.
        """
        if self._waiting() < _WAITING // 2:
            self._dispatcher.send_callback(task_id, delay=_AGAIN)

    def owner(self, task_id: str) -> str:
        """Return the id of the API key that owns a job; empty when the job is unknown."""
        with translated():
            return cast("str | None", self._client.hget(keys.job(task_id), "key_id")) or ""

    def claim(self, task_id: str, lease: int, message_id: str) -> Attempt | None:
        """Begin an attempt; None when none is due, or another is at it for its ``lease``.

        Args:
            task_id: the job.
            lease: how long the attempt may take.
            message_id: Dramatiq's id of the message that asks, which it keeps as a dead letter. A
                callback that has failed is begun once more by the message it failed with.
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
        """Record that the receiver has it; False when the job was opened again meanwhile."""
        return self._settle(attempt, "delivered")

    def reschedule(self, attempt: Attempt, error: str, delay: int) -> bool:
        """Record why an attempt failed, and that the next is due after ``delay``."""
        return self._settle(attempt, "pending", error, delay)

    def fail(self, attempt: Attempt, error: str) -> bool:
        """Record why the last attempt failed. False, of this and the above: it does not count."""
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
    """Return the milliseconds until the next attempt; None after the last one.

    Args:
        number: of the attempt that has failed, counted from 1.
        retry_after: seconds that the receiver wants to be left alone.
    """
    if number > len(SCHEDULE):
        return None
    wanted = max(SCHEDULE[number - 1], min(retry_after, LONGEST_RETRY_AFTER))
    return round(wanted * random.uniform(1, 1 + _JITTER) * 1000)  # noqa: S311 - no secret
