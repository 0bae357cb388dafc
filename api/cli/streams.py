"""Preparation of the standard streams, which may be closed or unable to encode all text."""

import io
import os
import sys

from api.cli.output import UsageError


def prepare_streams() -> None:
    """Make standard output and standard error safe for any text.

    Characters that a stream cannot encode are escaped. Closed descriptors 0 to 2 are opened on
    ``/dev/null``, so that no connection gets the number of a standard stream.

    Raises:
        UsageError: standard output is closed.
    """
    has_output = sys.stdout is not None
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    if sys.stderr is None:  # closed: messages are discarded
        sys.stderr = io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if not has_output:
        raise UsageError("Standard output is closed. To discard the output, add >/dev/null.")


def read_input(*, line: bool = False) -> bytes:
    """Return standard input, or its first line.

    Raises:
        UsageError: standard input is closed or cannot be read.
    """
    if sys.stdin is None:
        raise UsageError("Standard input is closed, but the command reads it.")
    try:
        return sys.stdin.buffer.readline() if line else sys.stdin.buffer.read()
    except OSError as error:
        raise UsageError(f"Standard input cannot be read: {error.strerror}.") from None
