"""The real ``qrmill``, run as a user or a script runs it."""

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
    """Return an environment without settings of whoever runs the tests."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("QRMILL_")}
    return {**others, "XDG_CONFIG_HOME": "/nonexistent", **own}


def qrmill(
    *arguments: str | Path, given: str | None = None, **own: str
) -> subprocess.CompletedProcess[str]:
    """Run a command with pipes, as a script does."""
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
    """A command at a terminal of its own; what that shows is in ``shown``."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process = process
        self.shown = ""
        self._terminal = terminal

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self._terminal, text.encode())

    def wait_to_show(self, text: str) -> None:
        wait_for(lambda: text in self._look(), f"{text!r} on the terminal")

    def end(self) -> int:
        """Wait for the command's end; return its exit status."""
        status = wait_for(self._ended, "the end of the command")
        self._look()
        return status - 1

    def _ended(self) -> int | None:
        self._look()  # a terminal that nobody reads stops who writes to it
        status = self.process.poll()
        return None if status is None else status + 1

    def _look(self) -> str:
        try:
            while piece := os.read(self._terminal, 65536):
                self.shown += piece.decode("utf-8", "replace")
        except BlockingIOError:
            pass  # all that is there has been read
        except OSError:
            pass  # EIO: whoever wrote to it has ended (Linux, pty(7))
        return self.shown


@contextmanager
def at_a_terminal(*arguments: str | Path, **own: str) -> Iterator[Terminal]:
    """Run a command at a terminal of 100 columns."""
    ours, its = os.openpty()
    os.set_blocking(ours, False)
    process = subprocess.Popen(
        [QRMILL, *arguments],
        env=environment(TERM="xterm-256color", COLUMNS="100", **own),
        stdin=its,
        stdout=its,
        stderr=its,
        # A session whose terminal it is, so that Ctrl-C typed there is SIGINT.
        preexec_fn=partial(os.login_tty, os.dup(its)),  # noqa: PLW1509 - nothing else happens there
    )
    os.close(its)
    try:
        yield Terminal(process, ours)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(ours)
