"""Options that several commands share, and the API client that they use."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Annotated

import typer

from api.cli.output import UsageError, checking_usage, print_message
from api.cli.profile import DEFAULT_URL, KEY_VARIABLE, current_profile
from api.client import Client, QrmillError

#: Retry limits of a request: maximum number of attempts, and seconds for all attempts together.
#: ``_PATIENT`` is for commands that submit a task or wait for one. 1000 attempts would take longer
#: than 300 s, so the time limit always applies first.
_BRISK, _PATIENT = (3, 60.0), (1000, 300.0)
#: Shell completion: maximum number of tasks offered, and timeout of the request in seconds.
_OFFERED, _COMPLETION_TIMEOUT = 30, 2.0
#: Task ids that are offered. The shell interprets them, so no other text of a response is offered.
_TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _offer_tasks(incomplete: str) -> list[tuple[str, str]]:
    """Return the newest tasks whose ids begin with ``incomplete``, for shell completion."""
    try:
        given = current_profile(os.environ)
        url = given.url or DEFAULT_URL
        with Client(url, given.api_key, timeout=_COMPLETION_TIMEOUT, attempts=1) as client:
            found = islice(client.list(), _OFFERED)
            return [
                (task.task_id, task.status)
                for task in found
                if task.task_id.startswith(incomplete) and _TASK_ID.fullmatch(task.task_id)
            ]
    except (QrmillError, UsageError, ValueError):  # completion offers nothing, and prints no error
        return []


def _print_retry(error: QrmillError) -> None:
    print_message(f"Retrying: {error}")


Url = Annotated[
    str | None,
    typer.Option(
        help="URL of the API. Default: QRMILL_URL, then the profile file, then "
        + DEFAULT_URL
        + ".",
        show_default=False,
    ),
]
TaskId = Annotated[str, typer.Argument(help="Task id.", autocompletion=_offer_tasks)]
TaskIds = Annotated[list[str], typer.Argument(help="Task ids.", autocompletion=_offer_tasks)]
Seconds = Annotated[
    float | None,
    typer.Option("--timeout", min=0, help="Maximum wait in seconds.", show_default="no limit"),
]


@contextmanager
def open_client(url: str | None, *, patient: bool = False) -> Iterator[Client]:
    """Open a client of the API for the block.

    Args:
        url: URL of the API from the option ``--url``; None without the option.
        patient: whether to retry for minutes while the service is unavailable, and print a
            message for each retry.

    Raises:
        UsageError: the URL or the key is malformed, or no key is set.
    """
    given = current_profile({**os.environ, **({"QRMILL_URL": url} if url else {})})
    if not given.api_key:
        raise UsageError(f"No API key is set. Set {KEY_VARIABLE}, or run `qrmill profile set`.")
    attempts, patience = _PATIENT if patient else _BRISK
    with checking_usage():
        client = Client(
            given.url or DEFAULT_URL,
            given.api_key,
            attempts=attempts,
            patience=patience,
            on_failure=_print_retry if patient else lambda _: None,
        )
    with client:
        yield client
