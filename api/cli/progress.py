"""Progress of a task until it ends: a progress bar on a terminal, otherwise plain lines."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.cli.bundle_output import BundleOutput
from api.cli.output import EX_SIGINT, print_interruption, print_message, printable
from api.client import ApiError, Client, QrmillError, TaskFailedError, TaskStatus

#: Called with every status that differs from the previous one.
OnProgress = Callable[[TaskStatus], None]
#: HTTP statuses for a task id that is unknown or malformed.
_NO_SUCH_TASK = frozenset({404, 422})


def follow_task(
    client: Client,
    task_id: str,
    *,
    url: str | None,
    timeout: float | None,
    output: BundleOutput | None,
) -> TaskStatus:
    """Wait until a task ends, download its bundle, and return the task's status.

    The status of a failed task is returned too; a failed task raises no error.

    Args:
        client: client that polls the task.
        task_id: UUID of the task.
        url: URL of the API from the option ``--url``, repeated in the command to resume.
        timeout: seconds to wait; None for no limit.
        output: the open destination of the bundle; None for no download.

    Raises:
        QrmillError: the task did not end in time, or the task or its bundle cannot be read.
        OSError: the bundle cannot be written.
        typer.Exit: interrupted with Ctrl-C.
    """
    seen: list[TaskStatus] = []
    resume = _resume_hint(task_id, url, output)
    try:
        with show_progress() as on_progress:

            def note(status: TaskStatus) -> None:
                seen[:] = [status]
                on_progress(status)

            client.wait(task_id, timeout=timeout, on_progress=note)
        if output is not None:
            client.download(task_id, output.target)
            print_message(f"The bundle was written to {output}.")
    except TaskFailedError:
        pass  # the returned status contains the error
    except KeyboardInterrupt:
        print_interruption(f"Interrupted; the task continues. {resume}")
        raise typer.Exit(EX_SIGINT) from None
    except BrokenPipeError:  # the reader of the bundle closed the pipe
        raise
    except (QrmillError, OSError) as error:
        if not (isinstance(error, ApiError) and error.status in _NO_SUCH_TASK):
            print_message(resume)
        raise
    return seen[-1]


def _resume_hint(task_id: str, url: str | None, output: BundleOutput | None) -> str:
    words = ["qrmill", "wait", task_id]
    if output is not None:
        words += ["--out", output.out]
    if url is not None:
        words += ["--url", url]
    return f"To continue waiting, run: {shlex.join(words)}"


@contextmanager
def show_progress() -> Iterator[OnProgress]:
    """Show the progress of a task during the block, on standard error."""
    if not sys.stderr.isatty():
        yield lambda status: print_message(f"{status.status}: {status.progress_percent:g} %")
        return
    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        row = bar.add_task("pending", total=None)

        def on_progress(status: TaskStatus) -> None:
            bar.update(
                row,
                description=printable(status.status),
                completed=status.processed_items,
                total=status.total_items,
            )

        yield on_progress
