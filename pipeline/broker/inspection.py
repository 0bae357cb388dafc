"""Queries of a broker's queues: lengths, ages and dead letters.

Dramatiq's own metrics come from workers and stop when all workers are dead. The state of the queues
is therefore read from the broker itself. Every method of :class:`Queues` raises:
    LedgerUnavailableError: Redis is unreachable.
    BrokerUnavailableError: RabbitMQ is the broker and is unreachable.
"""

import time
import uuid
from typing import Any, NamedTuple, Protocol

import dramatiq
from dramatiq import Message, MessageProxy
from dramatiq.common import q_name

#: Message options that describe earlier attempts; a requeued dead letter starts without them.
_RETRY_OPTIONS = frozenset(
    {"eta", "traceback", "requeue_timestamp", "error_code", "object_missing", "max_retries"}
)


class QueueState(NamedTuple):
    """The state of one queue.

    Attributes:
        name: name of the queue.
        waiting: number of messages that no worker has fetched.
        in_progress: number of messages that a worker has fetched and not yet acknowledged.
        delayed: number of messages that are delivered later.
        dead: number of dead letters.
        oldest_waiting: seconds that the oldest waiting message has waited; 0 if none waits.
        oldest_dead: seconds since the oldest dead letter became one; 0 if there is none.
    """

    name: str
    waiting: int
    in_progress: int
    delayed: int
    dead: int
    oldest_waiting: float
    oldest_dead: float

    @property
    def size(self) -> int:
        """Number of messages that are not yet processed."""
        return self.waiting + self.in_progress + self.delayed


class DeadLetter(NamedTuple):
    """A dead letter as the broker keeps it.

    Attributes:
        letter_id: id of the dead letter within its queue.
        died_at: time at which the message became a dead letter, in milliseconds since the epoch.
        text: body of the message, which may be something other than a Dramatiq message.
    """

    letter_id: str
    died_at: int
    text: str


class Queues(Protocol):
    """The queues of one broker."""

    def ping(self) -> None:
        """Check that the broker responds."""

    def read(self) -> list[QueueState]:
        """Return the state of every queue, the webhook queue last."""

    def size(self, *queues: str) -> int:
        """Return how many messages of ``queues`` wait, are delayed or are being processed."""

    def waiting(self, *queues: str) -> int:
        """Return the number of messages in ``queues`` that no worker has fetched."""

    def letters(self, queue: str, limit: int) -> list[DeadLetter]:
        """Return up to ``limit`` dead letters of ``queue``, newest first."""

    def requeue(self, queue: str, letter_ids: list[str]) -> int:
        """Requeue dead letters with their attempts reset; return the number requeued.

        A dead letter that is not a Dramatiq message is not requeued.
        """

    def discard(self, queue: str, letter_ids: list[str]) -> int:
        """Delete dead letters permanently; return the number deleted."""

    def attach_error(self, message: MessageProxy) -> bool:
        """Add the last attempt's error to a dead letter, which the broker stores without it.

        Returns:
            False if the message is not a dead letter, because it was taken from its worker before
            the failure. Such a message is delivered again.
        """


def assign_dead_letter_id(message: MessageProxy) -> None:
    """Assign the id that a message will have as a dead letter.

    A redelivered copy of the message keeps the old id. The ledger distinguishes such a copy from
    the requeued dead letter by their ids.
    """
    if not hasattr(message, "letter_id"):  # Dramatiq repeats a nack after a lost connection
        message.letter_id = str(uuid.uuid4())  # type: ignore[attr-defined] # Dramatiq allows it


def letter_id(message: MessageProxy) -> str:
    """Return a message's id as a dead letter: the assigned id, or else the message id."""
    return str(getattr(message, "letter_id", message.message_id))


def encode_dead_letter(message: MessageProxy) -> bytes:
    """Return the encoded message with the id of its dead letter."""
    letter: Message[Any] = message.copy(message_id=letter_id(message))
    return letter.encode()


def renewed(text: str) -> str | None:
    """Return a message without options of earlier attempts; None if ``text`` is not a message."""
    try:
        message: Message[Any] = Message.decode(text.encode())
    except (dramatiq.DecodeError, TypeError):  # not JSON, or without the fields of a message
        return None
    options = {name: value for name, value in message.options.items() if name not in _RETRY_OPTIONS}
    queue = q_name(message.queue_name)
    fields = {**message.asdict(), "queue_name": queue, "options": {**options, "retries": 0}}
    return Message(**fields).encode().decode()


def age(milliseconds: float | None) -> float:
    """Return the age in seconds of a timestamp in milliseconds since the epoch; 0 for None.

    Dramatiq's timestamps are by the sender's clock. The age is 0 if that clock is ahead.
    """
    return 0.0 if milliseconds is None else max(0.0, time.time() - milliseconds / 1000)
