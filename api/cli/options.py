"""Options that the commands share, and the client that they use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from api.cli.output import UsageError, checking_usage, print_message, printable
from api.cli.profile import DEFAULT_URL, KEY_VARIABLE, current_profile
from api.client import Client, QrmillError

#: Attempts at a request, and seconds that they may take: for a command whose user waits, and for
#: one that must not fail; its many attempts never run out before the seconds do.
_BRISK, _PATIENT = (3, 60.0), (1000, 300.0)
#: For the shell's completion: tasks offered, and seconds that they may take.
_OFFERED, _AT_ONCE = 30, 2.0


def _offer_tasks(incomplete: str) -> list[tuple[str, str]]:
    """Return the newest tasks whose ids begin so, for the shell to offer."""
    try:
        given = current_profile(os.environ)
        url = given.url or DEFAULT_URL
        with Client(url, given.api_key, timeout=_AT_ONCE, attempts=1) as client:
            found = islice(client.list(), _OFFERED)
            return [
                (task.task_id, task.status) for task in found if task.task_id.startswith(incomplete)
            ]
    except (QrmillError, UsageError, ValueError):  # there is nothing to offer then
        return []


def _in_a_folder(path: Path | None) -> Path | None:
    if path is not None and not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {path.absolute().parent}")
    return path


def _print_retry(error: QrmillError) -> None:
    print_message(f"Trying again: {printable(error)}")


Url = Annotated[
    str | None,
    typer.Option(
        help="Where the API is; without: QRMILL_URL, the profile file, or " + DEFAULT_URL + ".",
        show_default=False,
    ),
]
TaskId = Annotated[str, typer.Argument(help="Of the task.", autocompletion=_offer_tasks)]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Where to put the bundle.", dir_okay=False, callback=_in_a_folder),
]
Seconds = Annotated[
    float | None,
    typer.Option("--timeout", min=0, help="Seconds to wait at most.", show_default="for ever"),
]


@contextmanager
def open_client(url: str | None, *, patient: bool = False) -> Iterator[Client]:
    """Open a client of the API for the block.

    Args:
        url: of the API, if an option gave it.
        patient: whether to retry for minutes while the service is unavailable, and print so.

    Raises:
        UsageError: the URL or the key is malformed, or there is no key.
    """
    given = current_profile({**os.environ, **({"QRMILL_URL": url} if url else {})})
    if not given.api_key:
        raise UsageError(f"There is no API key. Set {KEY_VARIABLE}, or run `qrmill profile set`.")
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
