"""500 clients that wait in long polls, while 50 others send requests.

The API alone is measured: the workers are stopped, so that the polled jobs stay in flight. Both
loads, without and with the pollers, take turns on the same servers. No two clients start together,
as they do not in life: a burst of 50 new connections would be measured as the pollers' doing.
"""

import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks.connection import Connection
from tests.benchmarks.parts import stopped
from tests.benchmarks.report import Report
from tests.benchmarks.scene import BULK, Scene, percentile, request_body, running_scene

POLLERS, SENDERS = 500, 50
_JOBS, _ITEMS = 50, 20
_PAUSE = 2.0  # seconds from one request of a sender to its next: below what the machine can do
_WAIT = 10  # seconds that a poll asks for
_PREFER = f"Prefer: wait={_WAIT}\r\n"
_MOST_RATIO, _MOST_WAKING = 2, 50  # of the 99th percentiles; milliseconds


class _Polled(NamedTuple):
    """What the pollers saw: polls answered, and how many of these had waited."""

    answered: int
    waited: int


def main(report: Report) -> None:
    """Compare POST's times idle and beside the pollers, and time how soon a poll is woken."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running_scene(Path(directory)) as scene,
        stopped(scene.ready, "worker-1"),
        stopped(scene.ready, "worker-2"),
    ):
        client = scene.connect()
        body = request_body(_ITEMS, "svg")
        paths = [client.post(BULK, body)["poll_url"] for _ in range(_JOBS)]
        idle: list[float] = []
        beside: list[float] = []
        polled: list[_Polled] = []
        _send(scene, 2 * _PAUSE)
        for _ in range(1 if report.quick else 3):
            idle += _send(scene, 20)
            with _pollers(scene, paths, polled.append):
                beside += _send(scene, 20)
        _tell(report, idle, beside, polled, [_waking(scene, path) for path in paths[:20]])


def _send(scene: Scene, seconds: float) -> list[float]:
    """Return how long each POST of all senders took, in seconds."""
    begun = time.perf_counter() + 0.1
    body = request_body(_ITEMS, "svg")

    def send(number: int) -> list[float]:
        client, took = scene.connect(), []
        for at in _times(begun + number * _PAUSE / SENDERS, _PAUSE, begun + seconds):
            time.sleep(max(0.0, at - time.perf_counter()))
            sent = time.perf_counter()
            client.post(BULK, body)
            took.append(time.perf_counter() - sent)
        return took

    return [sample for part in _all(send, SENDERS) for sample in part]


def _times(first: float, step: float, end: float) -> Iterator[float]:
    while first < end:
        yield first
        first += step


def _all(run: Callable[[int], Any], clients: int) -> Iterable[Any]:
    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(run, range(clients)))


@contextmanager
def _pollers(scene: Scene, paths: list[str], tell: Callable[[_Polled], None]) -> Iterator[None]:
    """Keep all pollers waiting, from a process of their own, until the end of the block."""
    context = multiprocessing.get_context("spawn")
    stop, results = context.Event(), context.SimpleQueue()
    arguments = (scene.ready.api_url, scene.key, paths, stop, results)
    process = context.Process(target=_poll_all, args=arguments)
    process.start()
    try:
        results.get()  # all have begun
        yield
    finally:
        stop.set()
        tell(results.get())
        process.join()


def _poll_all(url: str, key: str, paths: list[str], stop: Any, results: Any) -> None:  # noqa: ANN401 - multiprocessing's Event and SimpleQueue
    """Poll with all clients, each beginning at another time of the first ten seconds."""
    begun = time.perf_counter()

    def poll(number: int) -> _Polled:
        client, answered, waited = Connection(url, key), 0, 0
        time.sleep(max(0.0, begun + number * _WAIT / POLLERS - time.perf_counter()))
        while not stop.is_set():
            answer = client.request("GET", paths[number % len(paths)], headers=_PREFER)
            assert answer.status == 200, answer
            answered += 1
            waited += answer.waited
        return _Polled(answered, waited)

    with ThreadPoolExecutor(POLLERS) as pool:
        futures = [pool.submit(poll, number) for number in range(POLLERS)]
        time.sleep(_WAIT)
        results.put(None)
        found = [future.result() for future in futures]
    results.put(_Polled(sum(one.answered for one in found), sum(one.waited for one in found)))


def _waking(scene: Scene, path: str) -> float:
    """Return the seconds from a job's end, as its answer tells it, to the waiting poll's answer."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(_answered, scene, path)
        time.sleep(0.2)
        scene.connect().request("DELETE", path)
        at, answer = waiting.result()
    return at - datetime.fromisoformat(answer["finished_at"]).timestamp()


def _answered(scene: Scene, path: str) -> tuple[float, dict[str, Any]]:
    answer = scene.connect().get(path, _PREFER)
    return time.time(), answer


def _tell(
    report: Report,
    idle: list[float],
    beside: list[float],
    polled: list[_Polled],
    waking: list[float],
) -> None:
    samples = {"idle": idle, f"beside {POLLERS} pollers": beside, "waking a poll": waking}
    rows = [
        (name, 1000 * percentile(took, 50), 1000 * percentile(took, 99), len(took))
        for name, took in samples.items()
    ]
    report.table(f"POST from {SENDERS} clients", ("", "p50 ms", "p99 ms", "of"), rows)
    answered, waited = (sum(column) for column in zip(*polled, strict=True))
    report.say(f"{answered:,} polls were answered, {waited:,} of them after waiting")
    ratio = percentile(beside, 99) / percentile(idle, 99)
    report.target(f"POST's p99 beside {POLLERS} pollers", ratio, "times idle", most=_MOST_RATIO)
    report.target("waking a poll, p50", rows[2][1], "ms", most=_MOST_WAKING)
    report.figures["pollers"] = {
        "posts": {name: {"p50_ms": p50, "p99_ms": p99, "of": of} for name, p50, p99, of in rows},
        "polls": {"answered": answered, "waited": waited},
    }
