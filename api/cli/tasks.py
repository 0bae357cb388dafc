"""The commands for one task: ``qrmill status``, ``wait``, ``download``, ``retry``, ``cancel``."""

from pathlib import Path

import typer

from api.cli.options import Out, Seconds, TaskId, Url, open_client
from api.cli.output import (
    EX_SIGINT,
    Json,
    end_with,
    print_document,
    print_message,
    print_task,
)
from api.cli.progress import follow_task


def status(task_id: TaskId, url: Url = None, as_json: Json = False) -> None:
    """Print the state and progress of a task."""
    with open_client(url) as client:
        print_task(client.status(task_id), as_json=as_json)


def wait(
    task_id: TaskId,
    out: Out = None,
    timeout: Seconds = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Wait until a task has ended; with --out, download its bundle."""
    with open_client(url, patient=True) as client:
        ended = follow_task(client, task_id, url=url, timeout=timeout, out=out)
        end_with(ended, as_json=as_json)


def download(
    task_id: TaskId,
    out: Out = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Download a completed task's bundle, or resume an interrupted download."""
    target = out or Path(f"{task_id}.zip")
    with open_client(url, patient=True) as client:
        try:
            path = client.download(task_id, target)
        except KeyboardInterrupt:
            print_message("\nInterrupted; run the same command again to resume the download.")
            raise typer.Exit(EX_SIGINT) from None
        if as_json:
            print_document(client.status(task_id))
        else:
            typer.echo(path)


def retry(task_id: TaskId, url: Url = None, as_json: Json = False) -> None:
    """Run a failed task again; only its missing chunks are rendered."""
    with open_client(url) as client:
        print_task(client.retry(task_id), as_json=as_json)


def cancel(task_id: TaskId, url: Url = None, as_json: Json = False) -> None:
    """Cancel a task in flight."""
    with open_client(url) as client:
        print_task(client.cancel(task_id), as_json=as_json)
