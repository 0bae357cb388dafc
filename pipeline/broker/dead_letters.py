"""Dead letters: permanently failed messages. Listed, requeued or discarded."""

from typing import Any, NamedTuple, cast

import msgspec
import structlog

from pipeline.broker.inspection import DeadLetter, Queues
from pipeline.ledger.ledger import Ledger
from pipeline.model.states import State

log = structlog.get_logger(__name__)

#: Milliseconds that the broker keeps a dead letter.
DEAD_LETTER_TTL = 30 * 86_400_000
_MOST_RAW = 2000  # characters


class JobDeadLetter(NamedTuple):
    """A dead letter, and the job that it is about.

    Attributes:
        letter_id: names it within its queue.
        died_at: in milliseconds since the epoch.
        task_id, chunk: what it is about; no chunk for a bundling.
        job_state: how that job stands now; None when there is none any more.
        tries: how often it was begun.
        error_code: as the poll has it; empty when unknown.
        traceback: of the last try; empty when none was kept.
        message: as it would be sent again, JSON.
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
    """The broker's dead letters.

    Every method may raise ``UnavailableError``.
    """

    def __init__(self, queues: Queues, ledger: Ledger) -> None:
        """Take the queues that have them, and the ledger that tells of jobs."""
        self._queues = queues
        self._ledger = ledger

    def newest(self, queue: str, limit: int) -> list[JobDeadLetter]:
        """Return up to ``limit`` dead letters, the newest first."""
        letters = self._queues.letters(queue, limit)
        rows = [_Row(queue, letter, _decoded(letter.text)) for letter in letters]
        tasks = {row.task_id for row in rows}
        states = {job.task_id: job.state for job in self._ledger.statuses(sorted(tasks))}
        return [_letter(row, states.get(row.task_id)) for row in rows]

    def requeue(self, queue: str, letter_ids: list[str]) -> int:
        """Put letters back onto their queue, their tries forgotten; return how many there were.

        What no worker could read stays where it is.
        """
        moved = self._queues.requeue(queue, letter_ids)
        log.info("dead letters requeued", queue=queue, count=moved)
        return moved

    def discard(self, queue: str, letter_ids: list[str]) -> int:
        """Remove letters for good; return how many there were. Their jobs stay as they are."""
        removed = self._queues.discard(queue, letter_ids)
        log.info("dead letters discarded", queue=queue, count=removed)
        return removed


def _decoded(text: str) -> _Content:
    try:
        return msgspec.json.decode(text, type=_Content)
    except msgspec.DecodeError:  # shown all the same, as it is
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
