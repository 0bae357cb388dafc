"""Where the time of one job goes, from the times that the ledger keeps of its chunks and bundle.

All clocks are this machine's. Chunks run side by side, so their steps are given as sums over the
chunks as well as by the time when the first began and the last ended.
"""

import statistics
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from pipeline.ledger.connection import open_redis
from pipeline.ledger.ledger import Ledger
from tests.benchmarks.report import Report
from tests.benchmarks.scene import Ended, Scene, request_body, run_job

_CASES = ((1, "png", 15), (100, "png", 15), (100, "svg", 15), (5000, "svg", 5), (5000, "png", 5))
_BAR = 46  # characters of the longest bar


class Stage(NamedTuple):
    """A stage of a job, in milliseconds from when its request was sent.

    Attributes:
        work: time spent in it, added up over all chunks; None where that is its length.
    """

    name: str
    begin: float
    end: float
    work: float | None = None


def measure(scene: Scene, report: Report) -> None:
    """Run jobs of each kind and print the median of each stage."""
    client = scene.connect()
    ledger = Ledger(open_redis(scene.settings.redis_url, timeout=5, decode=True))
    for items, image_format, times in _CASES:
        body = request_body(items, image_format)
        runs = [_stages(ledger, run_job(client, body)) for _ in range(times)]
        flat = sorted((stage for run in runs for stage in run), key=itemgetter(0))
        medians = [_median(list(same)) for _, same in groupby(flat, key=itemgetter(0))]
        medians.sort(key=lambda stage: (stage.begin, stage.end))
        _tell(report, f"{items:,} {image_format.upper()}", medians)


def _stages(ledger: Ledger, job: Ended) -> list[Stage]:
    task_id = job.answer["task_id"]
    status = ledger.status(task_id)
    assert status is not None
    assert status.finished_at is not None
    assert status.bundle is not None
    bundling = status.bundle.times
    chunks = [chunk.times for chunk in ledger.staged_chunks(task_id)]
    begin = min(chunk.begun_at for chunk in chunks)
    read = [chunk.begun_at + chunk.read_ms for chunk in chunks]
    rendered = [end + chunk.render_ms for end, chunk in zip(read, chunks, strict=True)]
    verified = [end + chunk.verify_ms for end, chunk in zip(rendered, chunks, strict=True)]
    staged = [end + chunk.stage_ms for end, chunk in zip(verified, chunks, strict=True)]
    built = bundling.begun_at + bundling.read_ms + bundling.zip_ms + bundling.upload_ms
    absolute = [
        Stage("accept", job.sent * 1000, job.accepted * 1000),
        Stage("queue wait of the first chunk", status.created_at, begin),
        Stage("read", begin, max(read), sum(chunk.read_ms for chunk in chunks)),
        Stage("render", min(read), max(rendered), sum(chunk.render_ms for chunk in chunks)),
        Stage("verify", min(rendered), max(verified), sum(chunk.verify_ms for chunk in chunks)),
        Stage("stage", min(verified), max(staged), sum(chunk.stage_ms for chunk in chunks)),
        Stage("callback", max(staged), bundling.begun_at),
        Stage("bundle read", bundling.begun_at, built, bundling.read_ms),
        Stage("ZIP", bundling.begun_at, built, bundling.zip_ms),
        Stage("upload", bundling.begun_at, built, bundling.upload_ms),
        Stage("finish", built, status.finished_at),
        Stage("answer", status.finished_at, job.ended * 1000),
    ]
    sent = job.sent * 1000
    return [stage._replace(begin=stage.begin - sent, end=stage.end - sent) for stage in absolute]


def _median(same: list[Stage]) -> Stage:
    work = [stage.work for stage in same if stage.work is not None]
    return Stage(
        same[0].name,
        statistics.median(stage.begin for stage in same),
        statistics.median(stage.end for stage in same),
        statistics.median(work) if work else None,
    )


def _tell(report: Report, title: str, stages: list[Stage]) -> None:
    whole = max(stage.end for stage in stages)
    rows = []
    for stage in stages:
        # Two clocks that are read to the millisecond may cross by one.
        length = max(0.0, stage.end - stage.begin)
        before, bar = round(stage.begin / whole * _BAR), round(length / whole * _BAR)
        drawn = (" " * before + ("█" * bar or "▏")).ljust(_BAR + 1)
        work = length if stage.work is None else stage.work
        rows.append((stage.name, f"{stage.begin:.0f}", f"{length:.0f}", f"{work:.0f}", drawn))
    report.table(f"Stages of a job of {title}, ms", ("stage", "from", "for", "work", ""), rows)
    found = report.figures.setdefault("stages", {})
    found[title] = [stage._asdict() for stage in stages]
