"""A tenant's jobs alone, and beside a tenant that takes all that the workers can do.

The other tenant keeps 50 jobs of 5000 items in flight, or floods the express queue. The tenants are
in different lanes. Each case is measured with one worker process and with two, on Redis and, where
it is installed, on RabbitMQ.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from pipeline.broker.lanes import lane_of
from tests.benchmarks.connection import Connection
from tests.benchmarks.parts import stopped
from tests.benchmarks.report import Report, median
from tests.benchmarks.scene import BULK, Scene, make_key, request_body, run_job, running_scene
from tests.rabbitmq import ABSENT, running_rabbitmq

_HOGS, _HOG_ITEMS = 50, 5000
_FLOOD_PERIOD = 0.2  # seconds between two jobs of the flood: 300 per minute
#: Seconds that the other tenant's load runs before the first job beside it.
_WARM_UP = 20.0
#: Seconds after which neither broker counts on a stopped worker; above the heartbeat timeout.
_LOST = 12.0
_HEARTBEAT = "5"
_WANTED = {1000: 1.5, 5000: 4.0}  # seconds beside the hog, by number of items

#: Number of items -> seconds of each job alone, and beside the load.
_Samples = dict[int, tuple[list[float], list[float]]]
_Load = Callable[[Connection, threading.Event], None]


def main(report: Report) -> None:
    """Measure on each broker."""
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        settings = {"QRMILL_HEARTBEAT_TIMEOUT": _HEARTBEAT}
        with running_scene(Path(directory) / "redis", **settings) as scene:
            _measure(scene, report, "redis")
        if ABSENT:
            report.say(ABSENT)
            return
        server = stack.enter_context(running_rabbitmq(Path(directory) / "rabbitmq"))
        settings["QRMILL_BROKER_URL"] = server.url
        with running_scene(Path(directory) / "stack", **settings) as scene:
            _measure(scene, report, "rabbitmq")


def _measure(scene: Scene, report: Report, broker: str) -> None:
    found: dict[tuple[str, int], _Samples] = {}
    tokens = _tokens(scene)
    run_job(Connection(scene.ready.api_url, tokens[0]), request_body(1000, "svg"))
    for workers in (1, 2):
        with ExitStack() as idle:
            if workers == 1:
                idle.enter_context(stopped(scene.ready, "worker-2"))
            time.sleep(_LOST)
            for load in _LOADS:
                found[load, workers] = _compare(scene, tokens, load, 3 if report.quick else 5)
    _tell(report, broker, found)


def _compare(scene: Scene, tokens: tuple[str, str], load: str, repeats: int) -> _Samples:
    client = Connection(scene.ready.api_url, tokens[0])
    clients, run, sizes = _LOADS[load]
    alone = {items: _times(client, items, repeats) for items in sizes}
    with _loaded(scene, tokens[1], clients, run):
        return {items: (alone[items], _times(client, items, repeats)) for items in sizes}


def _times(client: Connection, items: int, repeats: int) -> list[float]:
    body = request_body(items, "png")
    return [run_job(client, body).seconds for _ in range(repeats)]


@contextmanager
def _loaded(scene: Scene, token: str, clients: int, load: _Load) -> Iterator[None]:
    """Run ``load`` with some clients of the other tenant until the end of the block."""
    stop = threading.Event()
    connections = [Connection(scene.ready.api_url, token) for _ in range(clients)]
    threads = [threading.Thread(target=load, args=(each, stop)) for each in connections]
    for thread in threads:
        thread.start()
    try:
        time.sleep(_WARM_UP)
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _hog(client: Connection, stop: threading.Event) -> None:
    """Keep one large job in flight."""
    body = request_body(_HOG_ITEMS, "png")
    while not stop.is_set():
        path = client.post(BULK, body)["poll_url"]
        while client.get(path, "Prefer: wait=2\r\n")["finished_at"] is None:
            if stop.is_set():
                client.request("DELETE", path)


def _flood(client: Connection, stop: threading.Event) -> None:
    """Send jobs of one large chunk without waiting for their ends."""
    body, paths, due = request_body(500, "png", 2000), [], time.monotonic()
    while not stop.wait(max(0.0, due - time.monotonic())):
        due += _FLOOD_PERIOD
        paths.append(client.post(BULK, body)["poll_url"])
    for path in paths:
        with suppress(AssertionError):  # it has ended
            client.request("DELETE", path)


#: Number of clients, what each does, and the numbers of items of the jobs beside them.
_LOADS: dict[str, tuple[int, _Load, tuple[int, ...]]] = {
    "hog": (_HOGS, _hog, (1, 500, 1000, 5000)),
    "flood": (1, _flood, (1, 501)),
}


def _tokens(scene: Scene) -> tuple[str, str]:
    """Return the keys of two tenants in different lanes."""
    first = second = make_key(scene.ready)
    while lane_of(second.split("_")[1]) == lane_of(first.split("_")[1]):
        second = make_key(scene.ready)
    return first, second


def _tell(report: Report, broker: str, found: dict[tuple[str, int], _Samples]) -> None:
    rows, figures = [], []
    for (load, workers), samples in found.items():
        for items, (alone, beside) in samples.items():
            before, after = median(alone), median(beside)
            rows.append(
                (load, f"{workers}", f"{items}", before, after, after / before, max(beside))
            )
            figures.append(
                {"load": load, "workers": workers, "items": items, "alone": alone, "beside": beside}
            )
            if load == "hog" and items in _WANTED:
                label = f"{items} items beside the hog, {broker}, workers: {workers}"
                report.target(label, after, "s", most=_WANTED[items])
    columns = ("beside", "workers", "items", "s alone", "s beside", "times", "s beside, most")
    report.table(f"Fairness on {broker} (medians)", columns, rows)
    report.figures[f"fairness_{broker}"] = figures
