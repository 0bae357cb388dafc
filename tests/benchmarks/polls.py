"""Polls of jobs in flight, from processes of their own: requests a second and their times."""

import multiprocessing
import threading
import time
from typing import NamedTuple

from tests.benchmarks.connection import Connection
from tests.benchmarks.scene import percentile

_PROCESSES, _CONNECTIONS = 2, 8


class Polls(NamedTuple):
    """What was measured: polls a second, and percentiles in seconds."""

    rate: float
    p50: float
    p99: float


def poll_for(url: str, key: str, path: str, seconds: float) -> Polls:
    """Poll ``path`` on sixteen connections without a pause."""
    with multiprocessing.get_context("spawn").Pool(_PROCESSES) as pool:
        arguments = [(url, key, path, seconds)] * _PROCESSES
        took = [sample for part in pool.starmap(_poll, arguments) for sample in part]
    return Polls(len(took) / seconds, percentile(took, 50), percentile(took, 99))


def _poll(url: str, key: str, path: str, seconds: float) -> list[float]:
    took: list[float] = []
    until = time.perf_counter() + seconds

    def follow() -> None:
        connection = Connection(url, key)
        while (begun := time.perf_counter()) < until:
            answer = connection.request("GET", path)
            took.append(time.perf_counter() - begun)
            assert answer.status == 200, answer
        connection.close()

    threads = [threading.Thread(target=follow) for _ in range(_CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return took
