"""The queries that the pipeline makes of a broker's queues: length, age and dead letters.

Dramatiq's own metrics come from workers and say nothing when all are dead, so what stands in the
queues is asked of the broker itself. Every method raises:
    LedgerUnavailableError: Redis is out of reach.
    BrokerUnavailableError: RabbitMQ is, where that is the broker.
"""

import time
import uuid
from typing import Any, NamedTuple, Protocol

import dramatiq
from dramatiq import Message, MessageProxy
from dramatiq.common import q_name

#: Options that tell of the tries before; one that is put back begins anew.
_OF_THE_PAST = frozenset({"eta", "traceback", "requeue_timestamp", "error_code"})


class QueueState(NamedTuple):
    """One queue.

    Attributes:
        name: of the queue.
        waiting: messages that no worker has fetched.
        in_progress: messages that a worker has fetched and not yet acknowledged.
        delayed: messages that are tried again later.
        dead: dead letters.
        oldest_waiting: seconds that the oldest of those that wait has waited; 0 for none.
        oldest_dead: seconds since the oldest dead letter became one; 0 for none.
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
        """Messages that are still to be done."""
        return self.waiting + self.in_progress + self.delayed


class DeadLetter(NamedTuple):
    """A dead letter as the broker keeps it.

    Attributes:
        letter_id: names it within its queue.
        died_at: in milliseconds since the epoch.
        text: of the message; whatever was sent, so maybe none.
    """

    letter_id: str
    died_at: int
    text: str


class Queues(Protocol):
    """The queues of one broker."""

    def ping(self) -> None:
        """Ask the broker for nothing, to see whether it answers."""

    def read(self) -> list[QueueState]:
        """Return the state of every queue, that of callbacks last."""

    def size(self, *queues: str) -> int:
        """Return how many messages of ``queues`` wait, are delayed or are being worked on."""

    def waiting(self, *queues: str) -> int:
        """Return how many messages of ``queues`` no worker has fetched."""

    def letters(self, queue: str, limit: int) -> list[DeadLetter]:
        """Return up to ``limit`` dead letters, the newest first."""

    def requeue(self, queue: str, letter_ids: list[str]) -> int:
        """Put dead letters back onto their queue, renewed; return how many there were.

        What no worker could read stays where it is.
        """

    def discard(self, queue: str, letter_ids: list[str]) -> int:
        """Remove dead letters for good; return how many there were."""

    def attach_error(self, message: MessageProxy) -> bool:
        """Let a dead letter tell what its last try told, where the broker has it as it was sent.

        Returns:
            Whether it is a dead letter. One that was lost to its worker before comes again.
        """


def assign_dead_letter_id(message: MessageProxy) -> None:
    """Give a message the id that it is to have as a dead letter.

    A copy of it that is delivered again keeps the old one, by which the ledger tells it from the
    letter, put back by hand.
    """
    if not hasattr(message, "letter_id"):  # Dramatiq repeats what a lost connection broke off
        message.letter_id = str(uuid.uuid4())  # type: ignore[attr-defined] # Dramatiq lets one add to it


def letter_id(message: MessageProxy) -> str:
    """Return the id that a message has as a dead letter: its own if it was given none."""
    return str(getattr(message, "letter_id", message.message_id))


def encode_dead_letter(message: MessageProxy) -> bytes:
    """Return a message as its dead letter has it."""
    letter: Message[Any] = message.copy(message_id=letter_id(message))
    return letter.encode()


def renewed(text: str) -> str | None:
    """Return a message as it was first sent, but under the id that it has; None if it is none."""
    try:
        message: Message[Any] = Message.decode(text.encode())
    except (dramatiq.DecodeError, TypeError):  # not JSON, or without the fields of a message
        return None
    options = {name: value for name, value in message.options.items() if name not in _OF_THE_PAST}
    queue = q_name(message.queue_name)
    fields = {**message.asdict(), "queue_name": queue, "options": {**options, "retries": 0}}
    return Message(**fields).encode().decode()


def age(milliseconds: float | None) -> float:
    """Return the seconds since a time in milliseconds; Dramatiq stamps by local clocks."""
    return 0.0 if milliseconds is None else max(0.0, time.time() - milliseconds / 1000)
