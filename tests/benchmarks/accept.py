"""How long a POST takes until its 202, and how many polls are answered a second.

Requests are sent one at a time, each when the job before it has ended and its staging is gone: that
is removed after the end is told, and would be measured as the next request's. While polls are
measured the workers stand still, so that the polled job stays in flight.
"""

import time

from tests.benchmarks.parts import stopped
from tests.benchmarks.polls import Polls, poll_for
from tests.benchmarks.report import Report, median
from tests.benchmarks.scene import BULK, WAITING, Scene, percentile, request_body, run_job

_TIMES = {1: 60, 100: 40, 5000: 20}
_MOST = {1: 8, 5000: 40}  # milliseconds at the median
_POLLS, _POLL_P99 = 1500, 30  # a second; milliseconds
_SETTLE = 0.2  # seconds


def measure(scene: Scene, report: Report) -> None:
    """Time POSTs of three sizes by turns, then polls of a job in flight and of one that ended."""
    client = scene.connect()
    took: dict[int, list[float]] = {items: [] for items in _TIMES}
    rounds = 2 if report.quick else 4
    for _ in range(rounds):
        report.pace.look()
        for items, times in _TIMES.items():
            body = request_body(items, "png")
            for _ in range(times // 4):
                ended = run_job(client, body)
                time.sleep(_SETTLE)
                took[items].append(1000 * (ended.accepted - ended.sent))
    _tell_posts(report, took)
    in_flight, completed = [], []
    for _ in range(1 if report.quick else 3):
        report.pace.look()
        with stopped(scene.ready, "worker-1"), stopped(scene.ready, "worker-2"):
            path = client.post(BULK, request_body(20, "png"))["poll_url"]
            in_flight.append(poll_for(scene.ready.api_url, scene.key, path, 5.0))
        while client.get(path, WAITING)["status"] != "completed":
            pass
        completed.append(poll_for(scene.ready.api_url, scene.key, path, 5.0))
    _tell_polls(report, in_flight, completed)


def _tell_posts(report: Report, took: dict[int, list[float]]) -> None:
    figures = {
        items: {
            "p50_ms": percentile(samples, 50),
            "p99_ms": percentile(samples, 99),
            "of": len(samples),
        }
        for items, samples in took.items()
    }
    rows = [(f"{items:,}", f["p50_ms"], f["p99_ms"], f["of"]) for items, f in figures.items()]
    report.table("Accept: POST to 202", ("items", "p50 ms", "p99 ms", "of"), rows)
    for items, most in _MOST.items():
        report.target(f"accept of {items:,}, p50", figures[items]["p50_ms"], "ms", most=most)
    report.figures["accept"] = figures


def _tell_polls(report: Report, in_flight: list[Polls], completed: list[Polls]) -> None:
    figures = {}
    for name, runs in (("in flight", in_flight), ("completed", completed)):
        figures[name] = {
            "a_second": median([run.rate for run in runs]),
            "p50_ms": 1000 * median([run.p50 for run in runs]),
            "p99_ms": 1000 * median([run.p99 for run in runs]),
        }
    rows = [(name, *found.values()) for name, found in figures.items()]
    report.table("Polls on 16 connections", ("job", "a second", "p50 ms", "p99 ms"), rows)
    report.target("polls", figures["in flight"]["a_second"], "a second", least=_POLLS)
    report.target("polls, p99", figures["in flight"]["p99_ms"], "ms", most=_POLL_P99)
    report.figures["polls"] = figures
