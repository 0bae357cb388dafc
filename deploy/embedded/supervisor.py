"""The supervisor: keeps the processes of the stack running, and stops all of them together.

Existing process supervisors were evaluated first. The programs supervisor 4.3 and circus 0.19
consider a process started once it has lived for some seconds. When a process keeps dying, both give
up on it without stopping the others, and circus opens control ports without authentication. honcho
2.0 never restarts a process. With all three, the processes keep running when the supervisor itself
is killed with kill -9.
"""

import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.embedded.process import Part, PartError, PartProcess, stop_all
from deploy.embedded.restarts import Deaths

_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_BUSY_INTERVAL, _IDLE_INTERVAL = 0.05, 5.0


class StopRequestedError(Exception):
    """Raised when a stop signal arrives. The message is the name of the signal."""


class Supervisor:
    """Starts processes stage by stage and keeps them running.

    A stage is started when the previous stage is ready. The supervisor must run in the main thread,
    because it waits for signals, and because the processes die with the thread that started them.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Part]],
        logs: Path,
        *,
        report: Callable[[str], None],
        on_change: Callable[[dict[str, int]], None],
        lock: int,
    ) -> None:
        """Block the signals that the supervisor handles. No process is started.

        Args:
            stages: definitions of the processes. The processes of a stage are started together.
            logs: directory of the log files.
            report: called with a line for the user at every event.
            on_change: called with the process ids of all ready processes whenever they change.
            lock: file descriptor that every process keeps open.
        """
        self._stages = [[_Keeper(part, logs, report, lock) for part in stage] for stage in stages]
        self._started: list[_Keeper] = []
        self._on_change = on_change
        self._reported: dict[str, int] = {}
        hangup_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # as under nohup
        self._stop_signals = _STOP_SIGNALS - ({signal.SIGHUP} if hangup_ignored else set())
        # A blocked signal stays pending until `_wait`, so it interrupts no other code.
        signal.pthread_sigmask(signal.SIG_BLOCK, self._stop_signals | {signal.SIGCHLD})

    def start(self) -> None:
        """Start all processes, and return when all of them are ready.

        Raises:
            PartError: a process died too often, or was not ready in time.
            StopRequestedError: a stop signal arrived.
        """
        for stage in self._stages:
            self._started += stage
            while not all(keeper.is_ready for keeper in self._started):
                self._step()
                self._wait(_BUSY_INTERVAL)

    def watch(self) -> None:
        """Restart processes that die, until a stop signal arrives or a process dies too often.

        Raises:
            PartError: a process died too often, or was not ready in time after a restart.
            StopRequestedError: a stop signal arrived.
        """
        while True:
            self._step()
            quiet = all(keeper.is_ready for keeper in self._started)
            self._wait(_IDLE_INTERVAL if quiet else _BUSY_INTERVAL)

    def stop(self) -> None:
        """Stop all processes, the last stage first."""
        for stage in reversed(self._stages):
            stop_all([keeper.process for keeper in stage if keeper.process is not None])

    def _step(self) -> None:
        for keeper in self._started:
            keeper.step(time.monotonic())
        ready = {
            keeper.part.name: keeper.process.pid
            for keeper in self._started
            if keeper.process is not None and keeper.is_ready
        }
        if ready != self._reported:
            self._reported = ready
            self._on_change(dict(ready))

    def _wait(self, seconds: float) -> None:
        """Sleep until a process has ended or ``seconds`` have passed.

        Raises:
            StopRequestedError: a stop signal arrived.
        """
        # SIGCHLD of several processes can arrive as one signal, so each step checks every process.
        info = signal.sigtimedwait(self._stop_signals | {signal.SIGCHLD}, seconds)
        if info is not None and info.si_signo in self._stop_signals:
            raise StopRequestedError(signal.Signals(info.si_signo).name)


class _Keeper:
    """Starts, probes and restarts one process, and counts how often it has died."""

    def __init__(self, part: Part, logs: Path, report: Callable[[str], None], lock: int) -> None:
        self.part = part
        self.process: PartProcess | None = None
        self.is_ready = False
        self._logs, self._report, self._lock = logs, report, lock
        self._deaths = Deaths()
        self._start_at = float("-inf")
        self._begun_at = 0.0

    def step(self, now: float) -> None:
        """Do what is due at ``now``: start, restart, probe, or rotate the log."""
        if self.process is None:
            if now >= self._start_at:
                self._start(now)
        elif self.process.ended():
            self._died(self.process, now)
        elif not self.is_ready:
            self._probe(self.process, now)
        else:
            self.process.bound_log()

    def _start(self, now: float) -> None:
        self.process = PartProcess(self.part, self._logs, keep_open=(self._lock,))
        self._begun_at = now

    def _probe(self, process: PartProcess, now: float) -> None:
        self.is_ready = process.answers()
        if self.is_ready:
            self._report(
                f"{self.part.name} is ready after {time.monotonic() - self._begun_at:.1f} s"
            )
        elif now - self._begun_at > self.part.start_seconds:
            limit = f"{self.part.start_seconds:.0f} s"
            raise PartError(f"{self.part.name} was not ready within {limit}. {_last(process)}")

    def _died(self, process: PartProcess, now: float) -> None:
        how = process.clear()
        self._deaths.add(now)
        if self._deaths.too_many():
            raise PartError(f"{self.part.name} died five times within a minute. {_last(process)}")
        self.process, self.is_ready = None, False
        self._start_at = now + self._deaths.delay()
        self._report(f"{self.part.name} ended ({how}) and will be restarted")


def _last(process: PartProcess) -> str:
    return f"Last lines of {process.log}:\n{process.last_lines()}"
