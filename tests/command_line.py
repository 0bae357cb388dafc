"""The installed ``qrmill`` command, run with pipes or in a terminal."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.waiting import wait_for

QRMILL = Path(sys.executable).with_name("qrmill")


def environment(**own: str) -> dict[str, str]:
    """Return ``os.environ`` without QRMILL_ variables and profile file, and with ``own``."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("QRMILL_")}
    return {**others, "XDG_CONFIG_HOME": "/nonexistent", **own}


def qrmill(
    *arguments: str | Path, given: str | None = None, **own: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with pipes, as a script does.

    Args:
        arguments: arguments of ``qrmill``.
        given: standard input; None for none.
        own: environment variables.
    """
    return subprocess.run(
        [QRMILL, *arguments],
        env=environment(**own),
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


class Terminal:
    """A command in a pseudo-terminal. ``shown`` has the output so far."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self.shown = ""
        self._terminal = terminal

    def type(self, text: str) -> None:
        """Type ``text`` in the terminal."""
        os.write(self._terminal, text.encode())

    def wait_to_show(self, text: str) -> None:
        wait_for(lambda: text in self._read(), f"{text!r} on the terminal")

    def end(self) -> int:
        """Wait until the command has ended; return its exit status."""
        status = wait_for(self._ended, "the end of the command")
        self._read()
        return status - 1

    def _ended(self) -> int | None:
        self._read()  # the command would block when the terminal's buffer is full
        status = self.process.poll()
        return None if status is None else status + 1

    def _read(self) -> str:
        try:
            while piece := os.read(self._terminal, 65536):
                self.shown += piece.decode("utf-8", "replace")
        except BlockingIOError:
            pass  # no more output at present
        except OSError:
            pass  # EIO: the command has ended (Linux, pty(7))
        return self.shown


@contextmanager
def at_a_terminal(*arguments: str | Path, **own: str) -> Iterator[Terminal]:
    """Run a command in a pseudo-terminal of 100 columns until the end of the block."""
    ours, its = os.openpty()
    os.set_blocking(ours, False)
    process = subprocess.Popen(
        [QRMILL, *arguments],
        env=environment(TERM="xterm-256color", COLUMNS="100", **own),
        stdin=its,
        stdout=its,
        stderr=its,
        # The command leads a session with this terminal, so that Ctrl-C becomes SIGINT.
        preexec_fn=partial(os.login_tty, os.dup(its)),  # noqa: PLW1509 - only login_tty runs there
    )
    os.close(its)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(ours)
