"""One part as a process: started so that it dies with its parent, its log kept and bounded.

Each part leads a session of its own: a terminal's Ctrl-C reaches only the supervisor, which then
ends the parts in order, and whatever a part leaves behind can be found by its process group.
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

#: Says whether a part answers; made anew for each start, and asked again until it says yes.
Probe = Callable[[], bool]


class PartError(Exception):
    """A part could not be kept running; the message says which and shows its last lines."""


@dataclass(frozen=True, slots=True)
class Part:
    """What to run, and how to know that it answers.

    Attributes:
        name: what logs and the ready file call it.
        command: program and arguments; no secret belongs here, as a process list shows it.
        directory: the process's working directory.
        environment: all of the process's environment.
        new_probe: makes the probe of one start, just before the process is started.
        start_seconds: time that the part has to answer.
        stop_seconds: time that the part has to end after SIGTERM.
    """

    name: str
    command: tuple[str, ...]
    directory: Path
    environment: Mapping[str, str]
    new_probe: Callable[[], Probe]
    start_seconds: float = 60.0
    stop_seconds: float = 10.0


class PartProcess:
    """A running part."""

    def __init__(self, part: Part, logs: Path, keep_open: tuple[int, ...] = ()) -> None:
        self.part = part
        self.log = make_private_directory(logs) / f"{part.name}.log"
        self._log_begin = self.log.stat().st_size if self.log.exists() else 0
        self.answers = part.new_probe()
        self._process = _spawn(part, self.log, keep_open)

    @property
    def pid(self) -> int:
        """The process id, which is its process group's id as well."""
        return self._process.pid

    def ended(self) -> bool:
        """Return whether the process has ended, without reaping it: its group keeps its id."""
        if self._process.returncode is not None:
            return True
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, options) is not None

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process alone: masters end their own children in order."""
        if not self.ended():
            os.kill(self.pid, signal.SIGTERM)

    def clear(self) -> str:
        """Kill what is left of the part's process group, reap it, and say how the part ended."""
        if self._process.returncode is None:
            # Until it is reaped its id cannot be another's.
            os.killpg(self.pid, signal.SIGKILL)
        status = self._process.wait()
        return f"exit status {status}" if status >= 0 else signal.Signals(-status).name

    def stop(self) -> None:
        """End the part within its time, then with SIGKILL."""
        stop_all([self])

    def last_lines(self, count: int = 15) -> str:
        """Return the last lines that this run of the part has logged."""
        with self.log.open("rb") as file:
            # After a truncation there may be less in the file than when this run began.
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(self._log_begin, size), size - 64 * 1024))
            lines = file.read().decode("utf-8", "replace").splitlines()
        return "\n".join(lines[-count:])

    def bound_log(self, limit: int = LOG_BYTES) -> None:
        """Move a log over ``limit`` bytes to ``.1``.

        The process keeps its descriptor; it appends (O_APPEND), so it goes on at the new end.
        Lines written between the copy and the truncation are lost. A log that was removed, or a
        full disk, is no reason to end what writes the log.
        """
        with suppress(OSError):
            if self.log.stat().st_size > limit:
                shutil.copyfile(self.log, self.log.with_name(self.log.name + ".1"))
                os.truncate(self.log, 0)
                self._log_begin = 0


def wait_until(condition: Callable[[], bool], seconds: float, interval: float = 0.02) -> bool:
    """Ask until ``condition`` holds; return False when ``seconds`` are over without it."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(interval)
    return True


def stop_all(processes: Sequence[PartProcess]) -> None:
    """End parts side by side with SIGTERM; one that takes longer than its time is killed."""
    for process in processes:
        process.ask_to_end()
    begin = time.monotonic()
    for process in processes:
        wait_until(process.ended, process.part.stop_seconds - (time.monotonic() - begin))
        process.clear()


def start_and_wait(part: Part, logs: Path) -> PartProcess:
    """Start a part and return it once it answers.

    Raises:
        PartError: it ended, or did not answer in time; nothing of it is left running.
    """
    process = PartProcess(part, logs)
    wait_until(lambda: process.ended() or process.answers(), part.start_seconds)
    if process.ended() or not process.answers():
        process.clear()
        raise PartError(f"{part.name} does not answer. Its last lines:\n{process.last_lines()}")
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
            # The supervisor has one thread, so running Python between fork and exec is safe.
            preexec_fn=dies_with_parent(signal.SIGKILL),  # noqa: PLW1509
        )
    finally:
        os.close(descriptor)


def dies_with_parent(signal_number: signal.Signals) -> Callable[[], None]:
    """Return what a child runs before exec, to get a signal when its parent's thread ends.

    The kernel ties this to the thread that forked, so only a thread that lives as long as the
    stack may start parts. SIGKILL, because a part that lost its supervisor has lost the others
    as well, and all of them keep their data through a kill.
    """
    parent = os.getpid()
    set_death_signal = load_death_signal()  # before the fork

    def prepare() -> None:
        _unblock_signals()
        set_death_signal(signal_number)
        if os.getppid() != parent:  # the parent ended before the call
            os._exit(1)

    return prepare


def _unblock_signals() -> None:
    # The supervisor blocks the signals that it waits for, and a mask survives exec.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
