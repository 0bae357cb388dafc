"""Processes of the stack: they die with their parent, and their logs are limited in size.

Each process leads a session of its own. Ctrl-C in a terminal therefore reaches only the supervisor,
which stops the processes in order. Remaining child processes are found by their process group.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.files import make_private_directory
from pipeline.parent_death import load_death_signal

LOG_BYTES = 10 * 1024 * 1024
_SIGNALS = signal.valid_signals()

#: Readiness probe: returns whether a process is ready. Each start gets a new probe, which is called
#: until it returns True.
Probe = Callable[[], bool]


class PartError(Exception):
    """Raised when a process cannot be kept running. The message has its name and last log lines."""


@dataclass(frozen=True, slots=True)
class Part:
    """Definition of a process: its command, and how to check that it is ready.

    Attributes:
        name: name in logs and in the ready file.
        command: program and arguments; without secrets, because process lists show arguments.
        directory: working directory.
        environment: the whole environment of the process.
        new_probe: creates a readiness probe; called just before each start of the process.
        start_seconds: maximum time from the start until the process is ready, in seconds.
        stop_seconds: maximum time from SIGTERM until the process has ended, in seconds.
    """

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    new_probe: Callable[[], Probe]
    start_seconds: float = 60.0
    stop_seconds: float = 10.0


class PartProcess:
    """A running process of the stack."""

    def __init__(self, part: Part, logs: Path, keep_open: tuple[int, ...] = ()) -> None:
        self.part = part
        self.log = make_private_directory(logs) / f"{part.name}.log"
        self._log_begin = self.log.stat().st_size if self.log.exists() else 0
        self.answers = part.new_probe()
        self._process = _spawn(part, self.log, keep_open)

    @property
    def pid(self) -> int:
        """The process id, which is also the id of the process group."""
        return self._process.pid

    def ended(self) -> bool:
        """Return whether the process has ended.

        The process is not reaped, so that the id of its group is not reused.
        """
        if self._process.returncode is not None:
            return True
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, options) is not None

    def terminate(self) -> None:
        """Send SIGTERM only to the process, which itself stops its children in order."""
        if not self.ended():
            os.kill(self.pid, signal.SIGTERM)

    def clear(self) -> str:
        """Kill what remains of the process group, reap the process, and return how it ended."""
        if self._process.returncode is None:
            # The id cannot belong to another group before the process is reaped.
            os.killpg(self.pid, signal.SIGKILL)
        status = self._process.wait()
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name

    def stop(self) -> None:
        """Stop the process with SIGTERM, and with SIGKILL after its ``stop_seconds``."""
        stop_all([self])

    def last_lines(self, count: int = 15) -> str:
        """Return the last lines that this run of the process has logged."""
        with self.log.open("rb") as file:
            # After a truncation the file may be shorter than when this run began.
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(self._log_begin, size), size - 64 * 1024))
            lines = file.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-count:])

    def bound_log(self, limit: int = LOG_BYTES) -> None:
        """Rotate the log to ``.1`` if it has more than ``limit`` bytes.

        The log is copied and truncated. The process keeps its descriptor, which is open with
        O_APPEND, so the next line is written at the new end of the file. Lines written between the
        copy and the truncation are lost. Errors, such as a full disk, are ignored, because the
        process must not end because of its log.
        """
        with suppress(OSError):
            if self.log.stat().st_size > limit:
                self._copy_log(self.log.with_name(self.log.name + ".1"))
                os.truncate(self.log, 0)
                self._log_begin = 0

    def _copy_log(self, to: Path) -> None:
        descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as copy, self.log.open("rb") as log:
            os.fchmod(descriptor, 0o600)  # earlier releases made a file that others can read
            shutil.copyfileobj(log, copy)


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.02) -> bool:
    """Poll ``condition`` until it is true. Return False if it is still false after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def stop_all(processes: Sequence[PartProcess]) -> None:
    """Stop processes concurrently with SIGTERM. Kill those that exceed their ``stop_seconds``."""
    for process in processes:
        process.terminate()
    begin = time.monotonic()
    for process in processes:
        wait_until(process.ended, process.part.stop_seconds - (time.monotonic() - begin))
        process.clear()


def start_and_wait(part: Part, logs: Path) -> PartProcess:
    """Start a process and return it when it is ready.

    Raises:
        PartError: the process ended, or was not ready in time. It has been killed.
    """
    process = PartProcess(part, logs)
    wait_until(lambda: process.ended() or process.answers(), part.start_seconds)
    if process.ended() or not process.answers():
        process.clear()
        raise PartError(f"{part.name} did not become ready. Last lines:\n{process.last_lines()}")
    return process


def _spawn(part: Part, log: Path, keep_open: tuple[int, ...]) -> subprocess.Popen[bytes]:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            part.command,
            cwd=part.directory,
            env=part.environment,
            pass_fds=keep_open,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
            # Running Python between fork and exec is safe, because the supervisor has one thread.
            preexec_fn=dies_with_parent(signal.SIGKILL),  # noqa: PLW1509
        )
    finally:
        os.close(descriptor)


def dies_with_parent(signal_number: signal.Signals) -> Callable[[], None]:
    """Return a ``preexec_fn`` that has the child receive a signal when its parent dies.

    The function uses PR_SET_PDEATHSIG of Linux. The kernel sends the signal when the thread that
    forked ends, so only a thread that lives as long as the stack may start processes. Processes of
    the stack get SIGKILL. An orderly shutdown would be pointless, because the servers that a
    process depends on die at the same time. A kill loses no data.

    Args:
        signal_number: the signal to receive.
    """
    parent = os.getpid()
    set_death_signal = load_death_signal()  # before the fork

    def prepare() -> None:
        _unblock_signals()
        set_death_signal(signal_number)
        if os.getppid() != parent:  # the parent died before the call
            os._exit(1)

    return prepare


def _unblock_signals() -> None:
    # The supervisor blocks the signals that it waits for, and a child inherits the mask.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
