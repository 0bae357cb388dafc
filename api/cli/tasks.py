"""The commands for single tasks, such as ``qrmill status`` and ``qrmill purge``."""

import typer

from api.cli.bundle_output import Out, open_optional, open_output
from api.cli.options import Seconds, TaskId, TaskIds, Url, open_client
from api.cli.output import (
    EX_SIGINT,
    Json,
    end_with,
    print_document,
    print_interruption,
    print_message,
    print_path,
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
    with (
        open_client(url, patient=True) as client,
        open_optional(out, as_json=as_json) as output,
    ):
        ended = follow_task(client, task_id, url=url, timeout=timeout, output=output)
        quiet = output is not None and output.is_stdout
        end_with(ended, as_json=as_json, quiet=quiet)


def download(
    task_id: TaskId,
    out: Out = None,
    url: Url = None,
    as_json: Json = False,
) -> None:
    """Download a completed task's bundle, or resume an interrupted download."""
    with (
        open_client(url, patient=True) as client,
        open_output(out or f"{task_id}.zip", as_json=as_json) as output,
    ):
        try:
            client.download(task_id, output.target)
        except KeyboardInterrupt:
            print_interruption("Interrupted; run the same command again to resume the download.")
            raise typer.Exit(EX_SIGINT) from None
        if as_json:
            print_document(client.status(task_id))
        elif not output.is_stdout:
            print_path(output.out)


def retry(task_id: TaskId, url: Url = None, as_json: Json = False) -> None:
    """Run a failed task again; only its missing chunks are rendered."""
    with open_client(url) as client:
        print_task(client.retry(task_id), as_json=as_json)


def cancel(task_id: TaskId, url: Url = None, as_json: Json = False) -> None:
    """Cancel a task in flight."""
    with open_client(url) as client:
        print_task(client.cancel(task_id), as_json=as_json)


def purge(task_ids: TaskIds, url: Url = None) -> None:
    """Delete ended tasks: their bundles, requests and records."""
    with open_client(url) as client:
        for task_id in task_ids:
            client.purge(task_id)
            print_message(f"Purged {task_id}.")
