"""Keeps the parts of the stack running, and ends all of them together.

Kept process supervisors were looked at first. supervisor 4.3 and circus 0.19 take a part for
started once it has lived for some seconds, give up on a part that keeps dying without ending the
rest (circus opens unauthenticated control ports besides), honcho 2.0 never restarts one, and with
none of them do the parts notice the supervisor's own kill -9. What is needed is below.
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
    """A signal asks for the end; the message is its name."""


class Supervisor:
    """Starts parts stage by stage, each stage once the one before answers, and keeps them running.

    It has to live on the main thread: it waits for signals, and the parts die with its thread.
    """

    def __init__(
        self,
        stages: Sequence[Sequence[Part]],
        logs: Path,
        *,
        say: Callable[[str], None],
        changed: Callable[[dict[str, int]], None],
        lock: int,
    ) -> None:
        """Take the collaborators; nothing is started yet.

        Args:
            stages: the parts of a stage are started together.
            logs: directory of the parts' log files.
            say: told in a line what happens.
            changed: told the process ids of the parts that answer, whenever they have changed.
            lock: descriptor that every part keeps open.
        """
        self._stages = [[_Keeper(part, logs, say, lock) for part in stage] for stage in stages]
        self._started: list[_Keeper] = []
        self._changed = changed
        self._told: dict[str, int] = {}
        hangup_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # as under nohup
        self._stop_signals = _STOP_SIGNALS - ({signal.SIGHUP} if hangup_ignored else set())
        # Blocked, they stay pending until they are waited for: none comes at a bad moment.
        signal.pthread_sigmask(signal.SIG_BLOCK, self._stop_signals | {signal.SIGCHLD})

    def start(self) -> None:
        """Start every part; return once all answer.

        Raises:
            PartError: a part died too often, or does not answer in its time.
            StopRequestedError: a signal came.
        """
        for stage in self._stages:
            self._started += stage
            while not all(keeper.answered for keeper in self._started):
                self._step()
                self._wait(_BUSY_INTERVAL)

    def watch(self) -> None:
        """Keep the parts running until a signal comes or one dies too often: raises as `start`."""
        while True:
            self._step()
            quiet = all(keeper.answered for keeper in self._started)
            self._wait(_IDLE_INTERVAL if quiet else _BUSY_INTERVAL)

    def stop(self) -> None:
        """End all parts, the last stage first, each part within its time."""
        for stage in reversed(self._stages):
            stop_all([keeper.process for keeper in stage if keeper.process is not None])

    def _step(self) -> None:
        for keeper in self._started:
            keeper.step(time.monotonic())
        answering = {
            keeper.part.name: keeper.process.pid
            for keeper in self._started
            if keeper.process is not None and keeper.answered
        }
        if answering != self._told:
            self._told = answering
            self._changed(dict(answering))

    def _wait(self, seconds: float) -> None:
        """Sleep until a part has ended, ``seconds`` are over, or a signal asks for the end."""
        # Signals of several parts come as one, so each step looks at every part.
        info = signal.sigtimedwait(self._stop_signals | {signal.SIGCHLD}, seconds)
        if info is not None and info.si_signo in self._stop_signals:
            raise StopRequestedError(signal.Signals(info.si_signo).name)


class _Keeper:
    """One part, its deaths, and the process that runs it now, if one does."""

    def __init__(self, part: Part, logs: Path, say: Callable[[str], None], lock: int) -> None:
        self.part = part
        self.process: PartProcess | None = None
        self.answered = False
        self._logs, self._say, self._lock = logs, say, lock
        self._deaths = Deaths()
        self._start_at = float("-inf")
        self._begun_at = 0.0

    def step(self, now: float) -> None:
        """Do what is due at ``now``: start, start again, or note that the part answers."""
        if self.process is None:
            if now >= self._start_at:
                self._start(now)
        elif self.process.ended():
            self._died(self.process, now)
        elif not self.answered:
            self._ask(self.process, now)
        else:
            self.process.bound_log()

    def _start(self, now: float) -> None:
        self.process = PartProcess(self.part, self._logs, keep_open=(self._lock,))
        self._begun_at = now

    def _ask(self, process: PartProcess, now: float) -> None:
        self.answered = process.answers()
        if self.answered:
            self._say(f"{self.part.name} answers after {time.monotonic() - self._begun_at:.1f} s")
        elif now - self._begun_at > self.part.start_seconds:
            limit = f"{self.part.start_seconds:.0f} s"
            raise PartError(f"{self.part.name} does not answer within {limit}. {_last(process)}")

    def _died(self, process: PartProcess, now: float) -> None:
        how = process.clear()
        self._deaths.add(now)
        if self._deaths.too_many():
            raise PartError(f"{self.part.name} died five times within a minute. {_last(process)}")
        self.process, self.answered = None, False
        self._start_at = now + self._deaths.delay()
        self._say(f"{self.part.name} ended ({how}); it is started again")


def _last(process: PartProcess) -> str:
    return f"Its last lines ({process.log}):\n{process.last_lines()}"
