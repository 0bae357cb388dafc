"""Output of the command line: results on standard output, messages on standard error.

On a terminal, lists are tables. Elsewhere they are lines of uncut fields with tabs between them.
``--json`` prints the API's responses: one JSON document, or one per line for a list.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.client import TaskStatus, Violation
from api.client.errors import ApiError, DownloadError, QrmillError, TaskFailedError

#: Exit codes besides 0. The last two are those of a program that SIGINT or SIGPIPE has ended, as a
#: shell reports them (128 and the signal's number).
EX_FAILED, EX_USAGE, EX_TEMPFAIL, EX_SIGINT, EX_SIGPIPE = 1, 2, 3, 130, 141
EXIT_CODES = (
    "Exit codes: 0 done; 1 refused, or the task failed, or a file cannot be written; 2 wrong "
    "usage, or a file cannot be read; 3 the service is out of reach or the key over its rate, or "
    "the time was up: try again; 130 interrupted; 141 nobody reads the output."
)
_NO_KEY_HINT = "Set QRMILL_API_KEY, or run `qrmill profile set`."
_UNAUTHORIZED = 401
#: Wider than any table: the terminal wraps lines, so that an id can be copied whole.
_UNBOUNDED = 10_000


Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]


class UsageError(Exception):
    """The command cannot be run like this; the message says what to do."""


@contextmanager
def checking_usage() -> Iterator[None]:
    """Report what the client refuses to send in the block as wrong usage.

    Raises:
        UsageError: in place of a ValueError.
    """
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{error}.") from None


def print_message(message: str) -> None:
    """Print a message for people, on standard error."""
    typer.echo(message, err=True)


def print_document(document: object) -> None:
    """Print a response as JSON, on one line."""
    typer.echo(msgspec.json.encode(document))


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print a name and a value per line, without fields that have no value."""
    for name, value in fields:
        if value not in {None, ""}:
            typer.echo(f"{name:<10}{printable(value)}")


def print_rows(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a list: a table on a terminal, else fields with tabs between them."""
    if not sys.stdout.isatty():
        for row in (header, *rows):
            typer.echo("\t".join(map(printable, row)))
        return
    table = Table(*header, box=None)
    for row in rows:
        table.add_row(*(Text(printable(value)) for value in row))
    Console(width=_UNBOUNDED).print(table)


def printable(value: object) -> str:
    """Return a value on one line, with its control characters replaced."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def pluralize(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless the count is 1."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def violation_line(row: Violation) -> str:
    """Return the location of a bad value, and what is wrong with it, on one line."""
    position = [("line", row.line), ("column", row.column)]
    location = [f"{name} {number}" for name, number in position if number is not None]
    if row.pointer:
        location.append(row.pointer)
    return printable(f"{', '.join(location)}: {row.detail}".removeprefix(": "))


def print_violations(errors: Sequence[Violation], total: int) -> None:
    """Print bad values, one per line."""
    for row in errors:
        print_message(violation_line(row))
    if total > len(errors):
        print_message(f"and {total - len(errors)} more")


def report(error: QrmillError | UsageError | OSError) -> int:
    """Print an error; return the exit code."""
    if isinstance(error, ApiError):
        print_message(f"qrmill: {error.status} {error.error_code}: {printable(error.detail)}")
        if [row.detail for row in error.errors] != [error.detail]:  # which has been printed
            print_violations(error.errors, error.errors_total)
        if error.status == _UNAUTHORIZED:
            print_message(_NO_KEY_HINT)
    elif isinstance(error, OSError):
        print_message(
            f"qrmill: {error.filename}: {error.strerror}" if error.filename else f"qrmill: {error}"
        )
    else:
        print_message(f"qrmill: {printable(error)}")
    if isinstance(error, UsageError):
        return EX_USAGE
    temporary = isinstance(error, QrmillError) and not _is_permanent(error)
    return EX_TEMPFAIL if temporary else EX_FAILED


def _is_permanent(error: QrmillError) -> bool:
    if isinstance(error, (ApiError, DownloadError)):
        return not error.transient
    return isinstance(error, TaskFailedError)


def end_with(ended: TaskStatus, *, as_json: bool, quiet: bool = False) -> None:
    """Print the status of a task that has ended, and exit with an error code if it failed.

    Args:
        ended: the status.
        as_json: whether to print the status as JSON.
        quiet: whether to print, without ``as_json``, nothing but an error.

    Raises:
        typer.Exit: the task failed.
    """
    failed = ended.status == "failed"
    if as_json or not quiet:
        print_task(ended, as_json=as_json)
    if failed:
        why = printable(f"({ended.error_code}): {ended.error}")
        print_message(f"qrmill: task {ended.task_id} failed {why}")
        raise typer.Exit(EX_FAILED)


def print_task(found: TaskStatus, *, as_json: bool) -> None:
    """Print the status of a task."""
    if as_json:
        print_document(found)
    else:
        print_fields(_fields(found))


def _fields(found: TaskStatus) -> Iterator[tuple[str, object]]:
    yield "task", found.task_id
    yield "status", found.status
    yield "items", f"{found.processed_items} of {found.total_items} ({found.progress_percent:g} %)"
    parts = found.chunks
    yield "chunks", f"{parts.total}: {parts.staged} staged, {parts.failed} failed"
    yield "created", found.created_at
    yield "finished", found.finished_at
    if found.error_code is not None:
        yield "error", f"{found.error_code}: {found.error}"
    if found.bundle is not None:
        yield "bundle", f"{found.bundle.bytes} bytes, kept until {found.bundle.expires_at}"
        yield "sha256", found.bundle.sha256
    if found.callback is not None:
        error = f": {found.callback.last_error}" if found.callback.last_error else ""
        yield (
            "callback",
            f"{found.callback.state}, {pluralize(found.callback.attempts, 'attempt')}{error}",
        )
