"""Well-behaved tenants: each sends a job now and then, and polls its open jobs every second."""

import itertools
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

import httpx2

from tests.faults.follow import Follower
from tests.faults.load import Load
from tests.faults.orders import Order

_SIZES = (1, 100, 500)
_JOB_EVERY, _POLL_EVERY = 10.0, 1.0
_PATIENCE = 30.0


class Tenants:
    """Tenants in threads, each with one connection that is kept alive.

    Args:
        load: keeps their orders.
        follower: polls an order.
        api_keys: one of each tenant.

    Attributes:
        statuses: how often a POST or a poll got which status or error.
        seconds: duration of every POST and of every poll.
    """

    def __init__(self, load: Load, follower: Follower, api_keys: Iterable[str]) -> None:
        self.statuses: dict[str, Counter[str]] = {"POST": Counter(), "poll": Counter()}
        self.seconds: dict[str, list[float]] = {"POST": [], "poll": []}
        self._load, self._follower, self._api_keys = load, follower, [*api_keys]
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(len(self._api_keys))
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._running = [
            self._pool.submit(self._run, number, api_key)
            for number, api_key in enumerate(self._api_keys)
        ]
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._pool.shutdown()

    def raise_error(self) -> None:
        """Raise the error by which a tenant's thread has ended, if one has."""
        for each in self._running:
            if each.done():
                each.result()

    def failures(self) -> dict[str, int]:
        """Return the statuses and errors that no well-behaved tenant should get."""
        expected = {"POST": "202", "poll": "200"}
        return {
            f"{kind} {status}": count
            for kind, counts in self.statuses.items()
            for status, count in counts.items()
            if status != expected[kind]
        }

    def durations(self) -> str:
        """Return the number of requests, and their median, 99th percentile and maximum in ms."""
        return "; ".join(_describe(kind, seconds) for kind, seconds in self.seconds.items())

    def _run(self, number: int, api_key: str) -> None:
        sizes = itertools.cycle(_SIZES[number % len(_SIZES) :] + _SIZES[: number % len(_SIZES)])
        orders: list[Order] = []
        due = time.monotonic() + number * _JOB_EVERY / len(self._api_keys)
        with self._load.client(_PATIENCE) as client:
            while not self._stop.wait(_POLL_EVERY):
                if time.monotonic() >= due:
                    due += _JOB_EVERY
                    orders.append(self._send(client, next(sizes), api_key))
                for order in [each for each in orders if each.open]:
                    begin = time.monotonic()
                    self._note("poll", begin, self._follower.poll(client, order))

    def _send(self, client: httpx2.Client, items: int, api_key: str) -> Order:
        order = self._load.new_order(items, api_key)
        begin = time.monotonic()
        self._load.attempt(client, order)
        self._note("POST", begin, order.posts[-1])
        return order

    def _note(self, kind: str, begin: float, status: str) -> None:
        self.seconds[kind].append(time.monotonic() - begin)
        self.statuses[kind][status] += 1


def _describe(kind: str, seconds: list[float]) -> str:
    cuts = statistics.quantiles(seconds, n=100)
    median, p99, most = (round(1000 * each) for each in (cuts[49], cuts[98], max(seconds)))
    return f"{len(seconds)} {kind}s: median {median} ms, p99 {p99} ms, maximum {most} ms"
