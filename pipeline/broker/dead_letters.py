"""Dead letters, the permanently failed messages: list, requeue and discard them."""

from typing import Any, NamedTuple, cast

import msgspec
import structlog

from pipeline.broker.inspection import DeadLetter, Queues
from pipeline.ledger.ledger import Ledger
from pipeline.model.states import State

log = structlog.get_logger(__name__)

#: Lifetime of a dead letter in the broker, in milliseconds.
DEAD_LETTER_TTL = 30 * 86_400_000
#: Characters that are shown of a dead letter that is not a Dramatiq message.
_MOST_RAW = 2000


class JobDeadLetter(NamedTuple):
    """A dead letter and the job of its message.

    Attributes:
        letter_id: id of the dead letter within its queue.
        died_at: time at which the message became a dead letter, in milliseconds since the epoch.
        task_id, chunk: the message's job and chunk; ``chunk`` is None for a bundle or a webhook.
        job_state: current state of the job; None if the job no longer exists.
        tries: number of attempts.
        error_code: error code of the last attempt, as the poll reports it; empty if unknown.
        traceback: traceback of the last attempt; empty if none was stored.
        message: the message without its traceback, as indented JSON; the start of the raw text if
            it is not a Dramatiq message.
    """

    letter_id: str
    queue: str
    died_at: int
    actor: str
    task_id: str
    chunk: int | None
    job_state: State | None
    tries: int
    error_code: str
    traceback: str
    message: str


class _Content(msgspec.Struct):
    actor_name: str = ""
    args: list[Any] = []
    options: dict[str, Any] = {}


class _Row(NamedTuple):
    queue: str
    letter: DeadLetter
    content: _Content

    @property
    def task_id(self) -> str:
        return str(self.content.args[0]) if self.content.args else ""


class DeadLetters:
    """The broker's dead letters, with the states of their jobs.

    Every method may raise ``UnavailableError``.

    Args:
        queues: the broker's queues.
        ledger: source of the job states.
    """

    def __init__(self, queues: Queues, ledger: Ledger) -> None:
        self._queues = queues
        self._ledger = ledger

    def newest(self, queue: str, limit: int) -> list[JobDeadLetter]:
        """Return up to ``limit`` dead letters of a queue, newest first."""
        letters = self._queues.letters(queue, limit)
        rows = [_Row(queue, letter, _decoded(letter.text)) for letter in letters]
        tasks = {row.task_id for row in rows}
        states = {job.task_id: job.state for job in self._ledger.statuses(sorted(tasks))}
        return [_letter(row, states.get(row.task_id)) for row in rows]

    def requeue(self, queue: str, letter_ids: list[str]) -> int:
        """Requeue dead letters with their attempts reset; return the number requeued.

        A dead letter that is not a Dramatiq message is not requeued.
        """
        moved = self._queues.requeue(queue, letter_ids)
        log.info("dead letters requeued", queue=queue, count=moved)
        return moved

    def discard(self, queue: str, letter_ids: list[str]) -> int:
        """Delete dead letters permanently and return their number; their jobs do not change."""
        removed = self._queues.discard(queue, letter_ids)
        log.info("dead letters discarded", queue=queue, count=removed)
        return removed


def _decoded(text: str) -> _Content:
    try:
        return msgspec.json.decode(text, type=_Content)
    except msgspec.DecodeError:  # not a Dramatiq message: its text is shown as it is
        return _Content()


def _letter(row: _Row, job_state: State | None) -> JobDeadLetter:
    content, options = row.content, row.content.options
    shown = {name: value for name, value in options.items() if name != "traceback"}
    plain = {"actor": content.actor_name, "args": content.args, "options": shown}
    whole = msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()
    return JobDeadLetter(
        letter_id=row.letter.letter_id,
        queue=row.queue,
        died_at=row.letter.died_at,
        actor=content.actor_name,
        task_id=row.task_id,
        chunk=cast("int", content.args[1]) if len(content.args) > 1 else None,
        job_state=job_state,
        tries=int(options.get("retries") or 1),
        error_code=str(options.get("error_code") or ""),
        traceback=str(options.get("traceback") or ""),
        message=whole if content.actor_name else row.letter.text[:_MOST_RAW],
    )
