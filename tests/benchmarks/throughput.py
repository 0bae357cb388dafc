"""Twenty clients that send jobs one after the other.

Jobs of 500 items with one worker process and with two, and smaller ones with two.
"""

import os
import threading
import time
from collections import defaultdict
from contextlib import ExitStack
from statistics import fmean

from tests.benchmarks.parts import busy_seconds, cpu_seconds, stopped
from tests.benchmarks.report import Report, median
from tests.benchmarks.scene import Scene, request_body, run_job

_CLIENTS, _ITEMS = 20, 500
_SMALLER = (1, 100)
_WANTED = 1.7


def measure(scene: Scene, report: Report) -> None:
    """Alternate between one worker process and two."""
    seconds, rounds = (10.0, 1) if report.quick else (30.0, 2)
    rates: dict[int, list[float]] = defaultdict(list)
    cores: dict[int, list[dict[str, float]]] = defaultdict(list)
    others: dict[int, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for workers in (1, 2):
            with ExitStack() as idle:
                if workers == 1:
                    idle.enter_context(stopped(scene.ready, "worker-2"))
                before, busy, begun = cpu_seconds(scene.ready), busy_seconds(), time.perf_counter()
                rates[workers].append(_load(scene, _ITEMS, seconds))
                taken, busy = cpu_seconds(scene.ready), busy_seconds() - busy
                took = time.perf_counter() - begun
            spent = {name: (taken[name] - before[name]) / took for name in before}
            cores[workers].append(spent)
            others[workers].append(max(0.0, busy / took - sum(spent.values())))
    means = {
        workers: {name: fmean(each[name] for each in runs) for name in runs[0]}
        for workers, runs in cores.items()
    }
    _tell(report, rates, means, {workers: fmean(found) for workers, found in others.items()})
    smaller = {
        items: median([_load(scene, items, seconds) for _ in range(rounds)]) for items in _SMALLER
    }
    report.table(
        "Throughput: 20 clients, two workers, smaller jobs of SVG",
        ("items of a job", "jobs/s", "items/s"),
        [(f"{items}", rate, rate * items) for items, rate in smaller.items()],
    )
    report.figures["throughput"]["jobs_a_second_by_items"] = smaller


def _load(scene: Scene, items: int, seconds: float) -> float:
    """Return the jobs a second that have ended."""
    body = request_body(items, "svg")
    until = time.perf_counter() + seconds
    ended: list[float] = []

    def send() -> None:
        connection = scene.connect()
        while time.perf_counter() < until:
            run_job(connection, body)
            ended.append(time.perf_counter())
        connection.close()

    clients = [threading.Thread(target=send) for _ in range(_CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return sum(end <= until for end in ended) / seconds


def _tell(
    report: Report,
    rates: dict[int, list[float]],
    cores: dict[int, dict[str, float]],
    others: dict[int, float],
) -> None:
    jobs = {workers: median(samples) for workers, samples in rates.items()}
    rows = [(f"{workers}", jobs[workers], jobs[workers] * _ITEMS) for workers in jobs]
    report.table(
        "Throughput: 20 clients, jobs of 500 SVG", ("worker processes", "jobs/s", "items/s"), rows
    )
    spent = [(name, *(cores[workers][name] for workers in cores)) for name in cores[1]]
    spent.append(("together", *(sum(cores[workers].values()) for workers in cores)))
    spent.append(("everything else on the machine", *others.values()))
    report.table("CPU meanwhile, in cores", ("part", "1 worker", "2 workers"), spent)
    processors = os.cpu_count() or 1
    most = processors / sum(cores[1].values())
    report.say(
        f"A job's work at one worker, all parts together, fits {processors} cores "
        f"{most:.2f} times at most"
    )
    report.target("throughput of two workers", jobs[2] / jobs[1], "times one", least=_WANTED)
    report.figures["throughput"] = {
        "jobs_a_second": jobs,
        "items_a_second": {n: rate * _ITEMS for n, rate in jobs.items()},
        "cores": cores,
        "other_cores": others,
    }
