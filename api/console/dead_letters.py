"""``/ops/dead-letters``: permanently failed messages, which can be requeued or discarded."""

from http import HTTPStatus

import falcon

from api.console.forms import FormFields
from api.console.pages import Pages
from api.console.sessions import RequiresSession
from api.http.problems import ProblemError
from pipeline.service import ALL_QUEUES, DeadLetters, JobDeadLetter, OverviewReader

_ROWS = 100


class DeadLettersPage(RequiresSession):
    """``GET /ops/dead-letters``."""

    def __init__(self, dead_letters: DeadLetters, overview: OverviewReader, pages: Pages) -> None:
        super().__init__(pages)
        self._dead_letters = dead_letters
        self._overview = overview

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the newest dead letters of every queue."""
        letters = self._dead_letters
        found: list[JobDeadLetter] = []
        for queue in ALL_QUEUES:
            found += letters.newest(queue, _ROWS)
        found.sort(key=lambda letter: letter.died_at, reverse=True)
        total = self._overview.read().dead
        self.pages.respond(
            req, resp, "dead-letters.html", letters=found[:_ROWS], total=total, page=_ROWS
        )

    on_head = on_get


class DeadLettersAction(RequiresSession):
    """``POST /ops/dead-letters/requeue`` and ``…/discard``."""

    def __init__(self, dead_letters: DeadLetters, pages: Pages, action: str) -> None:
        super().__init__(pages)
        self._act, self._done = {
            "requeue": (dead_letters.requeue, "requeued"),
            "discard": (dead_letters.discard, "discarded"),
        }[action]

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Requeue or discard the selected dead letters, and redirect to the list."""
        selected = _selected(req.context.form)
        count = sum(self._act(queue, names) for queue, names in selected.items())
        target = f"{self.pages.home}/dead-letters"
        raise falcon.HTTPSeeOther(f"{target}?done={self._done}&count={count}")


def _selected(form: FormFields) -> dict[str, list[str]]:
    """Return the ids of the selected dead letters by queue.

    Raises:
        ProblemError: 422; no dead letter is selected, or a queue is unknown.
    """
    selected: dict[str, list[str]] = {}
    for value in form.get("letter", []):
        queue, _, letter_id = value.partition(":")
        if queue not in ALL_QUEUES:
            raise _invalid(f"Unknown queue {queue!r}. The queues are {', '.join(ALL_QUEUES)}.")
        selected.setdefault(queue, []).append(letter_id)
    if not selected:
        raise _invalid("No dead letter is selected. Select at least one.")
    return selected


def _invalid(detail: str) -> ProblemError:
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid_form", detail)
