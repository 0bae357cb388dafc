"""Messages on the terminal, whose loss must not stop the service.

The reader of standard output may exit (``qrmill up | head``), the stream may be closed, or its disk
may be full.
"""

import os
from contextlib import suppress
from typing import TextIO


def open_closed_streams() -> None:
    """Open ``/dev/null`` in place of each standard stream that is closed.

    Otherwise the next file that is opened gets the number of that stream. A child process that
    inherits this file would then overwrite it with its own standard stream.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004 - standard error
        pass
    os.close(descriptor)


def print_line(text: str, stream: TextIO | None) -> None:
    """Write a line to ``stream``, or lose the line if that is impossible.

    The line is not buffered, because a flush that fails when Python exits changes the exit status.
    Characters that the encoding of the stream lacks are written as escape sequences.

    Args:
        text: line without a line feed.
        stream: ``sys.stdout`` or ``sys.stderr``, which is None if it was closed.
    """
    if stream is not None:
        with suppress(OSError):
            os.write(stream.fileno(), f"{text}\n".encode(stream.encoding, "backslashreplace"))
