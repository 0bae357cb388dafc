"""The commands about tasks: how far they are, what they made, another try."""

from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.options import Out, Seconds, TaskId, Url, open_client
from api.cli.output import (
    EX_SIGINT,
    Json,
    end_with,
    print_document,
    print_message,
    print_rows,
    print_task,
)
from api.cli.progress import follow_task
from api.schemas.states import State

if TYPE_CHECKING:
    from api.client import Filters

_TASK_COLUMNS = ("task id", "status", "gtin", "items", "created", "finished", "error", "key")
_CHUNK_COLUMNS = ("chunk", "items", "state", "attempts", "error", "what happened")
_MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z"]

Moment = Annotated[
    datetime | None, typer.Option(formats=_MOMENTS, help="Local time unless it has an offset.")
]


def status(task_id: TaskId, url: Url = None, as_json: Json = False) -> None:
    """Say how far a task is."""
    with open_client(url) as client:
        print_task(client.status(task_id), as_json=as_json)


def wait(
    task_id: TaskId,
    out: Out = None,
    timeout: Seconds = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Wait for a task's end, and download its bundle with --out."""
    with open_client(url, patient=True) as client:
        ended = follow_task(client, task_id, url=url, timeout=timeout, out=out)
        end_with(ended, as_json=as_json)


def download(
    task_id: TaskId,
    out: Out = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Download a completed task's bundle; one that was interrupted goes on where it was."""
    target = out or Path(f"{task_id}.zip")
    with open_client(url, patient=True) as client:
        try:
            path = client.download(task_id, target)
        except KeyboardInterrupt:
            print_message("\nInterrupted; the same command goes on where it was.")
            raise typer.Exit(EX_SIGINT) from None
        if as_json:
            print_document(client.status(task_id))
        else:
            typer.echo(path)


def list_tasks(  # noqa: PLR0917 - typer makes an option of each
    state: Annotated[State | None, typer.Option("--status", help="Only tasks in this.")] = None,
    gtin: Annotated[str | None, typer.Option(help="Only tasks of this.")] = None,
    created_since: Moment = None,
    created_before: Moment = None,
    key: Annotated[
        str | None, typer.Option(help="Operators: only tasks of the API keys of this name.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Tasks at most.")] = 100,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """List tasks, the newest first."""
    filters: Filters = {}
    if state is not None:
        filters["status"] = state
    if gtin is not None:
        filters["gtin"] = gtin
    if key is not None:
        filters["key"] = key
    if created_since is not None:
        filters["created_since"] = created_since.astimezone()
    if created_before is not None:
        filters["created_before"] = created_before.astimezone()
    with open_client(url) as client:
        found = client.list(**filters)
        if as_json:
            for task in islice(found, limit):
                print_document(task)
        else:
            print_rows(
                _TASK_COLUMNS,
                (
                    (
                        task.task_id,
                        task.status,
                        task.gtin,
                        f"{task.processed_items}/{task.total_items}",
                        task.created_at,
                        task.finished_at,
                        task.error_code,
                        task.key,
                    )
                    for task in islice(found, limit)
                ),
            )
        if next(found, None) is not None:
            print_message(f"There are more than {limit}; --limit shows more.")


def chunks(task_id: TaskId, url: Url = None, as_json: Json = False) -> None:
    """List a task's chunks: how far each is, and what its last error was."""
    with open_client(url) as client:
        found = client.chunks(task_id)
        if as_json:
            for chunk in found:
                print_document(chunk)
        else:
            print_rows(
                _CHUNK_COLUMNS,
                (
                    (
                        chunk.index,
                        f"{chunk.first_item}-{chunk.last_item}",
                        chunk.state,
                        chunk.attempts,
                        chunk.error_code,
                        chunk.error,
                    )
                    for chunk in found
                ),
            )


def retry(task_id: TaskId, url: Url = None, as_json: Json = False) -> None:
    """Render again what a failed task lacks."""
    with open_client(url) as client:
        print_task(client.retry(task_id), as_json=as_json)


def cancel(task_id: TaskId, url: Url = None, as_json: Json = False) -> None:
    """Cancel a task in flight."""
    with open_client(url) as client:
        print_task(client.cancel(task_id), as_json=as_json)
