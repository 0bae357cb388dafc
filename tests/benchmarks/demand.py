"""What one job takes when nothing else is asked: CPU of every part, waits, memory of the ledger.

Jobs are sent one at a time, with one worker process: nobody queues for anything, so these figures
say what a job demands, not what it gets. ``deploy.capacity`` predicts from them.
"""

import time
from statistics import fmean, stdev
from typing import Any

import redis

from pipeline.ledger.connection import open_redis
from pipeline.ledger.ledger import Ledger
from tests.benchmarks.parts import cpu_seconds, stopped
from tests.benchmarks.report import Report, median
from tests.benchmarks.scene import Ended, Scene, percentile, request_body, run_job

_CASES = ((500, "svg", 60), (5000, "svg", 16), (5000, "png", 16))
_QUICK = 4  # times fewer repetitions
_IDLE = 4.0  # seconds
#: Percentile of the walls that counts as free of what else the machine did.
_LEAST = 10


def measure(scene: Scene, report: Report) -> None:
    """Run each kind of job by itself; what the idle stack takes meanwhile is subtracted."""
    ledger = Ledger(open_redis(scene.settings.redis_url, timeout=5, decode=True))
    found = report.figures.setdefault("demand", {})
    with stopped(scene.ready, "worker-2"), redis.Redis.from_url(scene.ready.redis_url) as valkey:
        idle = _idle(scene)
        for items, image_format, times in _CASES:
            count = times // _QUICK if report.quick else times
            body = request_body(items, image_format)
            jobs, costs = _run(scene, valkey, idle, body, count)
            walls = [_walls(ledger, job) for job in jobs]
            found[f"{items} {image_format}"] = {"items": items, **_times(jobs, walls), **costs}
    _tell(report)


def _run(
    scene: Scene, valkey: redis.Redis, idle: dict[str, float], body: bytes, count: int
) -> tuple[list[Ended], dict[str, Any]]:
    """Run ``count`` jobs; return them, and what one of them cost."""
    client = scene.connect()
    run_job(client, body)
    held, before, begun = _memory(valkey), cpu_seconds(scene.ready), time.perf_counter()
    jobs = [run_job(client, body) for _ in range(count)]
    took = time.perf_counter() - begun
    after, kept = cpu_seconds(scene.ready), _memory(valkey)
    cpu = {part: (after[part] - before[part] - idle[part] * took) / count for part in idle}
    return jobs, {
        "cpu_seconds": {part: max(0.0, seconds) for part, seconds in cpu.items()},
        "ledger_bytes": (kept - held) / count,
        "bundle_bytes": jobs[-1].answer["bundle"]["bytes"],
    }


def _times(jobs: list[Ended], walls: list[dict[str, float]]) -> dict[str, Any]:
    by_phase = {name: [wall[name] for wall in walls] for name in walls[0]}
    seconds = [job.seconds for job in jobs]
    return {
        "jobs": len(jobs),
        "seconds": median(seconds),
        "variation": stdev(seconds) / fmean(seconds),
        "wall_seconds": {name: median(taken) for name, taken in by_phase.items()},
        "least_seconds": {name: percentile(taken, _LEAST) for name, taken in by_phase.items()},
    }


def _idle(scene: Scene) -> dict[str, float]:
    """Return the cores that each part takes when there is nothing to do."""
    time.sleep(1.0)
    before = cpu_seconds(scene.ready)
    time.sleep(_IDLE)
    after = cpu_seconds(scene.ready)
    return {part: (after[part] - before[part]) / _IDLE for part in before}


def _memory(valkey: redis.Redis) -> int:
    time.sleep(0.5)
    return int(valkey.info("memory")["used_memory_dataset"])


def _walls(ledger: Ledger, job: Ended) -> dict[str, float]:
    """Return the seconds that one job spent in each of its phases; chunks are added up."""
    task_id = job.answer["task_id"]
    status = ledger.status(task_id)
    assert status is not None
    assert status.bundle is not None
    assert status.finished_at is not None
    times = [chunk.times for chunk in ledger.staged_chunks(task_id)]
    return {
        "accept": job.accepted - job.sent,
        "chunk": fmean(each.total_ms for each in times) / 1000,
        "bundle": (status.finished_at - status.bundle.times.begun_at) / 1000,
        "answer": max(0.0, job.ended - status.finished_at / 1000),
    }


def _tell(report: Report) -> None:
    found = report.figures["demand"]
    rows: list[tuple[str | float, ...]] = [
        (name, *(1000 * each["cpu_seconds"][name] for each in found.values()))
        for name in next(iter(found.values()))["cpu_seconds"]
    ]
    rows += [
        (f"{name}, wall", *(1000 * each["wall_seconds"][name] for each in found.values()))
        for name in ("accept", "chunk", "bundle", "answer")
    ]
    rows.append(("POST to completed, wall", *(1000 * each["seconds"] for each in found.values())))
    rows.append(("ledger, kB", *(each["ledger_bytes"] / 1000 for each in found.values())))
    report.table("A job by itself, CPU ms and wall ms", ("part", *found), rows)
