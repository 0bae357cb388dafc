"""Output of the command line: results on standard output, messages on standard error.

On a terminal, a list is a table. Otherwise a list is one line per row, with full values separated
by tabs. ``--json`` prints the API's responses: one JSON document, or one per line for a list.

Every text passes through :func:`printable` or, as JSON, has the same characters escaped. A response
therefore cannot move the cursor, change what a terminal shows, or add a line.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.client import RequestWarning, TaskStatus, Violation
from api.client.errors import (
    ApiError,
    DownloadError,
    QrmillError,
    TaskFailedError,
    UnreachableError,
)

#: Exit codes other than 0. The last two are those that a shell reports for a program terminated by
#: SIGINT or SIGPIPE: 128 plus the signal's number.
EX_FAILED, EX_USAGE, EX_TEMPFAIL, EX_SIGINT, EX_SIGPIPE = 1, 2, 3, 130, 141
#: The epilog of ``qrmill --help``. Typer joins the paragraphs to one Markdown list.
EXIT_CODES = """\
Exit codes:

- 0: success

- 1: the request was rejected, the task failed, or writing the output failed

- 2: wrong usage: an argument, a file or an environment variable cannot be used; nothing was sent

- 3: try again later: service unavailable, rate limit exceeded, or `--timeout` expired

- 130: interrupted with Ctrl-C (SIGINT)

- 141: the reader of the output closed the pipe (SIGPIPE)"""
_NO_KEY_HINT = "Set QRMILL_API_KEY, or run `qrmill profile set`."
_URL_HINT = (
    "Check that the API is running and that its URL is correct (--url, QRMILL_URL or the profile "
    "file)."
)
_UNAUTHORIZED = 401
STDOUT = "standard output"  # as a file's name in messages
#: Width in columns that no table exceeds. Lines are not cut off: the terminal wraps them, so that
#: ids can be copied whole.
_UNBOUNDED = 10_000


Json = Annotated[bool, typer.Option("--json", help="Print the response as JSON.")]


class UsageError(Exception):
    """Raised when a command is used wrongly; the message states the correct use.

    Args:
        message: the first line of the message.
        more: further lines.
    """

    def __init__(self, message: str, *more: str) -> None:
        super().__init__(message)
        self.more = more


@contextmanager
def checking_usage() -> Iterator[None]:
    """Convert a ValueError of the client, raised in the block, into a UsageError.

    Raises:
        UsageError: the client rejected an argument.
    """
    try:
        yield
    except ValueError as error:
        raise UsageError(f"{error}.") from None


def print_message(message: str) -> None:
    """Print a message of one line on standard error; do nothing if that is impossible."""
    with suppress(OSError):
        sys.stderr.write(f"{printable(message)}\n")
        sys.stderr.flush()


def print_interruption(message: str) -> None:
    """Print a message after Ctrl-C, on a line after the one on which the terminal shows ^C."""
    print_message("")
    print_message(message)


def print_line(line: str) -> None:
    """Print a line of the result on standard output."""
    _write_line(printable(line))


def print_path(path: str) -> None:
    """Print a path that the user gave, unchanged unless standard output is a terminal."""
    _write_line(printable(path) if sys.stdout.isatty() else path)


def _write_line(line: str) -> None:
    with naming_output():
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()


@contextmanager
def naming_output() -> Iterator[None]:
    """Add the name of standard output to an OSError that is raised in the block.

    Raises:
        OSError: standard output cannot be written.
    """
    try:
        yield
    except OSError as error:
        error.filename = STDOUT
        raise


def print_document(document: object) -> None:
    """Print a response as JSON, on one line.

    JSON is UTF-8 (RFC 8259, section 8.1). Characters that are not printable, such as control
    characters and directional overrides, are escaped. If the output has another encoding, all
    characters except ASCII are.
    """
    text = msgspec.json.encode(document).decode()
    if sys.stdout.encoding.lower().replace("-", "") != "utf8":
        text = json.dumps(json.loads(text))
    elif not text.isprintable():
        # Outside of strings, JSON on one line has only printable characters.
        text = "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
    _write_line(text)


def print_fields(fields: Iterable[tuple[str, object]]) -> None:
    """Print one name and value per line; omit fields whose value is None or empty."""
    for name, value in fields:
        if value not in {None, ""}:
            print_line(f"{name:<10}{value}")


def print_rows(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a list: a table on a terminal, otherwise tab-separated lines."""
    if not sys.stdout.isatty():
        for row in (header, *rows):
            _write_line("\t".join(map(printable, row)))
        return
    table = Table(*header, box=None)
    for row in rows:
        table.add_row(*(Text(printable(value)) for value in row))
    with naming_output():
        Console(width=_UNBOUNDED).print(table)


def printable(value: object) -> str:
    """Return a value on one line, with its control characters replaced."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def pluralize(count: int, noun: str) -> str:
    """Return a count with its noun, in the plural unless the count is 1."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def violation_line(row: Violation | RequestWarning) -> str:
    """Return one line with the location of an invalid or doubtful value and the reason."""
    position = [("line", row.line), ("column", row.column)]
    location = [f"{name} {number}" for name, number in position if number is not None]
    if row.pointer:
        location.append(row.pointer)
    return f"{', '.join(location)}: {row.detail}".removeprefix(": ")


def print_violations(errors: Sequence[Violation], total: int) -> None:
    """Print invalid values, one per line, and how many of ``total`` are not listed."""
    for row in errors:
        print_message(violation_line(row))
    if total > len(errors):
        print_message(f"and {total - len(errors)} more")


def print_warnings(warnings: Sequence[RequestWarning], total: int) -> None:
    """Print warnings, one per line, and how many of ``total`` are not listed."""
    for row in warnings:
        print_message(f"Warning: {violation_line(row)}")
    if total > len(warnings):
        print_message(f"and {pluralize(total - len(warnings), 'more warning')}")


def report(error: QrmillError | UsageError | OSError) -> int:
    """Print an error on standard error, and return the exit code."""
    if isinstance(error, ApiError):
        print_message(f"qrmill: {error.status} {error.error_code}: {error.detail}")
        # A single violation may have the same detail as the problem, which is already printed.
        if [row.detail for row in error.errors] != [error.detail]:
            print_violations(error.errors, error.errors_total)
        if error.status == _UNAUTHORIZED:
            print_message(_NO_KEY_HINT)
    elif isinstance(error, OSError):
        file = STDOUT if error.filename == "<stdout>" else error.filename
        name = f"{file}: " if file else ""
        print_message(f"qrmill: {name}{error.strerror or error}")
    else:
        print_message(f"qrmill: {error}")
    if isinstance(error, UnreachableError):
        print_message(_URL_HINT)
    if isinstance(error, UsageError):
        for line in error.more:
            print_message(line)
        return EX_USAGE
    temporary = isinstance(error, QrmillError) and not _is_permanent(error)
    return EX_TEMPFAIL if temporary else EX_FAILED


def _is_permanent(error: QrmillError) -> bool:
    if isinstance(error, (ApiError, DownloadError)):
        return not error.transient
    return isinstance(error, TaskFailedError)


def end_with(ended: TaskStatus, *, as_json: bool, quiet: bool) -> None:
    """Print the status of a task that has ended, and exit with code 1 if the task failed.

    Args:
        ended: the status.
        as_json: whether to print the status as JSON.
        quiet: whether to print only an error; ignored with ``as_json``.

    Raises:
        typer.Exit: the task failed.
    """
    failed = ended.status == "failed"
    if as_json or not quiet:
        print_task(ended, as_json=as_json)
    if failed:
        why = f"({ended.error_code}): {ended.error}"
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
    chunks = found.chunks
    yield "chunks", f"{chunks.total}: {chunks.staged} staged, {chunks.failed} failed"
    yield "created", found.created_at
    yield "finished", found.finished_at
    if found.error_code is not None:
        yield "error", f"{found.error_code}: {found.error}"
    if found.bundle is not None:
        yield "bundle", f"{found.bundle.bytes} bytes, kept until {found.bundle.expires_at}"
        yield "sha256", found.bundle.sha256
        yield "verified", "yes" if found.bundle.verified else "no"
    if found.callback is not None:
        error = f": {found.callback.last_error}" if found.callback.last_error else ""
        yield (
            "callback",
            f"{found.callback.state}, {pluralize(found.callback.attempts, 'attempt')}{error}",
        )
