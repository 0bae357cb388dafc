"""Following a task to its end: a live progress bar on a terminal, plain lines elsewhere."""

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from api.cli.output import INTERRUPTED, say
from api.client import ApiError, Client, QrmillError, TaskFailedError, TaskStatus

Told = Callable[[TaskStatus], None]
_NO_SUCH_TASK = frozenset({404, 422})


class Follow(NamedTuple):
    """How a task is followed, as the options say.

    Attributes:
        url: of the API, if an option says it.
        timeout: seconds to wait.
        out: where its bundle is put; without, it is not downloaded.
    """

    url: str | None
    timeout: float | None
    out: Path | None

    def to_the_end(self, client: Client, task_id: str) -> TaskStatus:
        """Return the status of a task that has ended; a failed one too.

        Raises:
            QrmillError: it did not end in time, cannot be asked for, or not be downloaded.
            OSError: its bundle cannot be written.
            typer.Exit: Ctrl-C.
        """
        seen: list[TaskStatus] = []
        try:
            with progress() as told:

                def note(status: TaskStatus) -> None:
                    seen[:] = [status]
                    told(status)

                client.wait(task_id, timeout=self.timeout, on_progress=note)
            if self.out is not None:
                client.download(task_id, self.out)
                say(f"The bundle is in {self.out}.")
        except TaskFailedError:
            pass  # its status says so
        except KeyboardInterrupt:
            say(f"\nInterrupted; the task goes on. {self._pick_up(task_id)}")
            raise typer.Exit(INTERRUPTED) from None
        except (QrmillError, OSError) as error:
            if not (isinstance(error, ApiError) and error.status in _NO_SUCH_TASK):
                say(self._pick_up(task_id))
            raise
        return seen[-1]

    def _pick_up(self, task_id: str) -> str:
        words = ["qrmill", "wait", task_id]
        if self.out is not None:
            words += ["--out", str(self.out)]
        if self.url is not None:
            words += ["--url", self.url]
        return f"To pick it up again: {shlex.join(words)}"


@contextmanager
def progress() -> Iterator[Told]:
    """Show how far a task is for the block; standard output is left alone."""
    if not sys.stderr.isatty():
        yield lambda status: say(f"{status.status}: {status.progress_percent:g} %")
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as bar:
        row = bar.add_task("pending", total=None)

        def told(status: TaskStatus) -> None:
            bar.update(
                row,
                description=status.status,
                completed=status.processed_items,
                total=status.total_items,
            )

        yield told
