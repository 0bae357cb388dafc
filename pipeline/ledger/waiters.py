"""Waiting for jobs to end, without polling.

The ledger's scripts publish the id of each ended job on a Redis channel. One thread per process
subscribes to this channel and wakes the requests that wait for the job. The thread starts with the
first request that waits.
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
    """A waiting request, woken when its job may have ended."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def wake(self) -> None:
        """Make :meth:`wait` return."""
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Return True as soon as the request is woken, or False after ``seconds``."""
        woken = self._woken.wait(max(0.0, seconds))
        self._woken.clear()
        return woken


class WaitResult(NamedTuple):
    """The result of waiting for a job.

    Attributes:
        job: the job's last known status; None if the job is unknown.
        waited: False if the request did not wait, because too many requests wait already or the
            process is shutting down.
    """

    job: JobStatus | None
    waited: bool


class CompletionWaiters:
    """The waiting requests of a process.

    Args:
        client: Redis client that decodes responses.
        limit: largest number of requests that may wait at once.
    """

    def __init__(self, client: redis.Redis, limit: int) -> None:
        self._slots = threading.BoundedSemaphore(limit)
        self._lock = threading.Lock()
        self._waiters: defaultdict[str, set[_Waiter]] = defaultdict(set)
        self._subscriber = Subscriber(client, keys.ENDED, self._wake, self._wake_all)
        self._listening = False
        self._closed = False

    def wait(
        self, task_id: str, seconds: float, read_job: Callable[[], JobStatus | None]
    ) -> WaitResult:
        """Wait until a job has ended, for at most ``seconds``, and return the job.

        Args:
            task_id: id of the job.
            seconds: longest time to wait.
            read_job: returns the job's current status, or None if the job is unknown.
        """
        until = time.monotonic() + seconds
        # Registered before the first read, because the job may end between the read and the wait.
        with self._registered(task_id) as waiter:
            job = read_job()
            if _has_ended(job):
                return WaitResult(job, waited=True)
            if self._closed or not self._slots.acquire(blocking=False):
                return WaitResult(job, waited=False)
            try:
                self._listen()
                job = self._read_when_woken(waiter, until, read_job)
            finally:
                self._slots.release()
        return WaitResult(job, waited=True)

    def _read_when_woken(
        self, waiter: _Waiter, until: float, read_job: Callable[[], JobStatus | None]
    ) -> JobStatus | None:
        """Read the job each time it may have ended, and once more at ``until``."""
        while True:
            woken = not self._closed and waiter.wait(until - time.monotonic())
            job = read_job()
            if not woken or _has_ended(job):
                return job

    def close(self) -> None:
        """Stop all waiting.

        This method only sets flags, so a signal handler may call it.
        """
        self._closed = True
        self._subscriber.stop()

    @contextmanager
    def _registered(self, task_id: str) -> Iterator[_Waiter]:
        """Register a waiter during the block; it is woken when ``task_id`` may have ended."""
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
        """Start the subscriber unless an earlier request has started it.

        As soon as the subscriber has subscribed, it wakes all waiting requests.
        """
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
    """Return whether a job is unknown or has ended, so that there is nothing to wait for."""
    return job is None or job.state in TERMINAL
