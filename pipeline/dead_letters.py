"""Dead letters: messages that failed for good. Listed, put back onto their queue, or discarded.

A message is always in one place: it is put back in one atomic step, and two who put it back at once
put it back once.
"""

from typing import Any, NamedTuple, cast

import dramatiq
import msgspec
import redis
import structlog
from dramatiq import Message
from dramatiq.common import q_name

from pipeline import keys
from pipeline.jobs import State
from pipeline.ledger import Ledger
from pipeline.lua import Scripts, translated

log = structlog.get_logger(__name__)

#: Options that tell of the tries before; one that is put back begins anew.
_OF_THE_PAST = frozenset({"eta", "traceback", "requeue_timestamp", "error_code"})
_MOST_RAW = 2000  # characters


class DeadLetter(NamedTuple):
    """A dead letter.

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
    letter_id: str
    died_at: int
    text: str
    content: _Content

    @property
    def task_id(self) -> str:
        return str(self.content.args[0]) if self.content.args else ""


class DeadLetters:
    """The broker's dead letters. Every method may raise ``LedgerUnavailableError``."""

    def __init__(self, client: redis.Redis, ledger: Ledger) -> None:
        """Take a client that decodes responses, and the ledger that tells of jobs."""
        self._client = client
        self._ledger = ledger
        self._run = Scripts(client).run

    def newest(self, queue: str, limit: int) -> list[DeadLetter]:
        """Return up to ``limit`` dead letters, the newest first."""
        names = keys.dead_letters(queue)
        with translated():
            ids = cast(
                "list[tuple[str, float]]",
                self._client.zrevrange(names, 0, limit - 1, withscores=True),
            )
        texts = self._texts(queue, [letter_id for letter_id, _ in ids])
        rows = [
            _Row(queue, letter_id, int(died), text, _decoded(text))
            for (letter_id, died), text in zip(ids, texts, strict=True)
            if text is not None
        ]
        tasks = {row.task_id for row in rows}
        states = {job.task_id: job.state for job in self._ledger.statuses(sorted(tasks))}
        return [_letter(row, states.get(row.task_id)) for row in rows]

    def put_back(self, queue: str, letter_ids: list[str]) -> int:
        """Put letters back onto their queue, their tries forgotten; return how many there were.

        What no worker could read stays where it is.
        """
        found = self._texts(queue, letter_ids)
        arguments = [
            part
            for letter_id, text in zip(letter_ids, found, strict=True)
            if text is not None and (renewed := _renewed(text)) is not None
            for part in (letter_id, renewed)
        ]
        names = [keys.dead_letters(queue), keys.dead_messages(queue)]
        names += [keys.queue(queue), keys.messages(queue)]
        moved = int(self._run("put_back", names, *arguments)) if arguments else 0
        log.info("dead letters put back", queue=queue, count=moved)
        return moved

    def discard(self, queue: str, letter_ids: list[str]) -> int:
        """Remove letters for good; return how many there were. Their jobs stay as they are."""
        if not letter_ids:
            return 0
        with translated(), self._client.pipeline(transaction=True) as pipe:
            pipe.zrem(keys.dead_letters(queue), *letter_ids)
            pipe.hdel(keys.dead_messages(queue), *letter_ids)
            _, removed = pipe.execute()
        log.info("dead letters discarded", queue=queue, count=removed)
        return int(removed)

    def annotate(self, queue: str, options: dict[str, Any], message: bytes) -> None:
        """Let a dead letter tell what its last try told; the broker keeps it as it was sent.

        Args:
            queue: that the message came from, maybe its delay queue.
            options: of the message.
            message: encoded, as it stands after the last try.
        """
        letter_id = str(options.get("redis_message_id", ""))
        names = [keys.dead_messages(q_name(queue))]
        self._run("annotate_letter", names, letter_id, message.decode())

    def _texts(self, queue: str, letter_ids: list[str]) -> list[str | None]:
        if not letter_ids:
            return []
        with translated():
            found = self._client.hmget(keys.dead_messages(queue), letter_ids)
        return cast("list[str | None]", found)


def _decoded(text: str) -> _Content:
    try:
        return msgspec.json.decode(text, type=_Content)
    except msgspec.DecodeError:  # shown all the same, as it is
        return _Content()


def _letter(row: _Row, job_state: State | None) -> DeadLetter:
    content, options = row.content, row.content.options
    shown = {name: value for name, value in options.items() if name != "traceback"}
    plain = {"actor": content.actor_name, "args": content.args, "options": shown}
    whole = msgspec.json.format(msgspec.json.encode(plain), indent=2).decode()
    return DeadLetter(
        letter_id=row.letter_id,
        queue=row.queue,
        died_at=row.died_at,
        actor=content.actor_name,
        task_id=row.task_id,
        chunk=cast("int", content.args[1]) if len(content.args) > 1 else None,
        job_state=job_state,
        tries=int(options.get("retries") or 1),
        error_code=str(options.get("error_code") or ""),
        traceback=str(options.get("traceback") or ""),
        message=whole if content.actor_name else row.text[:_MOST_RAW],
    )


def _renewed(text: str) -> str | None:
    """Return a message as it was first sent, but under the id that it has; None if it is none."""
    try:
        message: Message[Any] = Message.decode(text.encode())
    except (dramatiq.DecodeError, TypeError):  # not JSON, or without the fields of a message
        return None
    options = {name: value for name, value in message.options.items() if name not in _OF_THE_PAST}
    queue = q_name(message.queue_name)
    fields = {**message.asdict(), "queue_name": queue, "options": {**options, "retries": 0}}
    return Message(**fields).encode().decode()
