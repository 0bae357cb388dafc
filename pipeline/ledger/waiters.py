"""Waiting for jobs to end, without polling.

One thread a process listens to the channel on which the ledger's scripts tell what has ended, and
wakes the requests that wait for it. It starts when the first request waits.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import redis

from pipeline.ledger import keys
from pipeline.ledger.pubsub import Subscriber
from pipeline.model.jobs import JobStatus
from pipeline.model.states import TERMINAL


class _Waiter:
    """One request's place: it is woken when its job may have ended."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wake(self) -> None:
        """Let :meth:`wait` return."""
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Return True when woken, False after ``seconds``."""
        woken = self._woken.wait(max(0.0, seconds))
        self._woken.clear()
        return woken


class WaitResult(NamedTuple):
    """A job as it was last seen, and whether it was waited for; False: there was no place."""

    job: JobStatus | None
    waited: bool


class CompletionWaiters:
    """Tells waiting requests that their job has ended.

    Args:
        client: decodes responses.
        most: requests that may wait at once.
    """

    def __init__(self, client: redis.Redis, most: int) -> None:
        self._places = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._waiters: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._subscriber = Subscriber(client, keys.ENDED, self._wake, self._wake_all)
        self._listening = False
        self._closed = False

    def wait(
        self, task_id: str, seconds: float, look: Callable[[], JobStatus | None]
    ) -> WaitResult:
        """Return a job when it has ended, or as it stands after ``seconds``.

        Args:
            task_id: the job.
            seconds: how long to wait at most.
            look: reads the job.
        """
        until = time.monotonic() + seconds
        # Before the first look: the job may end between that and the wait.
        with self._entered(task_id) as waiter:
            job = look()
            if _has_ended(job):
                return WaitResult(job, waited=True)
            if self._closed or not self._places.acquire(blocking=False):
                return WaitResult(job, waited=False)
            try:
                self._listen()
                job = self._look_when_woken(waiter, until, look)
            finally:
                self._places.release()
        return WaitResult(job, waited=True)

    def _look_when_woken(
        self, waiter: _Waiter, until: float, look: Callable[[], JobStatus | None]
    ) -> JobStatus | None:
        """Look at the job each time it may have ended, and once more at ``until``."""
        while True:
            woken = not self._closed and waiter.wait(until - time.monotonic())
            job = look()
            if not woken or _has_ended(job):
                return job

    def close(self) -> None:
        """Let nobody wait any longer. It only sets flags, so a signal handler may call it."""
        self._closed = True
        self._subscriber.stop()

    @contextmanager
    def _entered(self, task_id: str) -> Iterator[_Waiter]:
        """Have a waiter woken when ``task_id`` may have ended, during the block."""
        waiter = _Waiter()
        with self._lock:
            self._waiters[task_id].add(waiter)
        try:
            yield waiter
        finally:
            with self._lock:
                self._waiters[task_id].discard(waiter)
                if not self._waiters[task_id]:
                    del self._waiters[task_id]

    def _listen(self) -> None:
        """Start the subscriber with the first request that waits; its first word wakes all."""
        with self._lock:
            if not self._listening:
                self._subscriber.start()
                self._listening = True

    def _wake(self, task_id: str) -> None:
        with self._lock:
            waiters = [*self._waiters.get(task_id, ())]
        for waiter in waiters:
            waiter.wake()

    def _wake_all(self) -> None:
        with self._lock:
            waiters = [waiter for group in self._waiters.values() for waiter in group]
        for waiter in waiters:
            waiter.wake()


def _has_ended(job: JobStatus | None) -> bool:
    """Return whether there is nothing to wait for."""
    return job is None or job.state in TERMINAL
