"""Destination of a bundle: a file, a FIFO, a device, or standard output (``-``)."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, BinaryIO, NamedTuple

import typer

from api.cli.output import STDOUT, UsageError
from api.client.target import check_target, open_target

_TERMINAL = (
    "A bundle is binary and is not written to a terminal. Redirect the output, or name a file."
)
_ONE_OUTPUT = "--json and the bundle cannot both go to standard output. Name a file with --out."


class BundleOutput(NamedTuple):
    """The destination of a bundle, open for writing.

    Attributes:
        out: path of the bundle, as given; ``-`` for standard output.
        target: argument for ``Client.download``.
        is_stdout: whether the bundle goes to standard output, where nothing else must be printed.
    """

    out: str
    target: Path | BinaryIO
    is_stdout: bool

    def __str__(self) -> str:
        return STDOUT if self.is_stdout else self.out


def _check_out(out: str | None) -> str | None:
    try:
        if out is not None and not _is_stdout(out):
            check_target(out)
    except OSError as error:
        raise typer.BadParameter(_describe(error, out)) from None
    return out


Out = Annotated[
    str | None,
    typer.Option(
        "--out",
        metavar="PATH",
        help="Path of the bundle; - for standard output.",
        callback=_check_out,
    ),
]


@contextmanager
def open_output(out: str, *, as_json: bool) -> Iterator[BundleOutput]:
    """Open the destination of a bundle for the block.

    Commands open the destination before any request, so that an unusable path is reported first.

    Args:
        out: path of the bundle; ``-`` for standard output.
        as_json: whether the command prints JSON on standard output.

    Raises:
        UsageError: the bundle cannot be written to ``out``.
    """
    with ExitStack() as stack:
        if _is_stdout(out):
            if as_json:
                raise UsageError(_ONE_OUTPUT)
            output = BundleOutput(out, sys.stdout.buffer, is_stdout=True)
        else:
            output = BundleOutput(out, _open(out, stack), is_stdout=False)
        if not isinstance(output.target, Path) and output.target.isatty():
            raise UsageError(_TERMINAL)
        yield output


def open_optional(out: str | None, *, as_json: bool) -> AbstractContextManager[BundleOutput | None]:
    """Open the destination of a bundle like ``open_output``; yield None if ``out`` is None."""
    return nullcontext() if out is None else open_output(out, as_json=as_json)


def _open(out: str, stack: ExitStack) -> Path | BinaryIO:
    try:
        return stack.enter_context(open_target(out))
    except OSError as error:
        raise UsageError(_describe(error, out)) from None


def _is_stdout(out: str) -> bool:
    """Return whether a path is ``-`` or names the same file as standard output."""
    if out == "-":
        return True
    try:
        return os.path.samestat(Path(out).stat(), os.fstat(sys.stdout.fileno()))
    except OSError:
        return False


def _describe(error: OSError, out: str | None) -> str:
    return f"{error.filename or out}: {error.strerror}."
