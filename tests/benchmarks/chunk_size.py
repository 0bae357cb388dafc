"""How long a job of 5000 takes by the size of its chunks, on the same workers by turns.

A request says how its items are cut, so one stack serves all sizes.
"""

import random
import time
from collections import defaultdict

import msgspec

from pipeline.model.jobs import EncodedItems, Item, JobRequest
from pipeline.service import configure_logging, open_service
from render.image import ImageFormat
from tests.benchmarks.report import Report, median
from tests.benchmarks.scene import Scene

_CHUNKS = (100, 250, 500, 1000)
_FORMATS: tuple[ImageFormat, ...] = ("svg", "png")
_ITEMS = [Item("LOT-7", f"SER{number:08}", "271231") for number in range(5000)]


def measure(scene: Scene, report: Report) -> None:
    """Run every combination in a new order each round."""
    settings = msgspec.structs.replace(scene.settings, log_level="warning")
    configure_logging(settings)  # a line a job would stand between the tables
    service = open_service(settings)
    key = service.api_keys.create(name="chunk sizes", role="client").key
    took: dict[tuple[ImageFormat, int], list[float]] = defaultdict(list)
    combinations = [(image_format, size) for image_format in _FORMATS for size in _CHUNKS]
    shuffled = random.Random(500)
    try:
        for _ in range(3 if report.quick else 9):
            shuffled.shuffle(combinations)
            for image_format, size in combinations:
                request = _request(image_format, size)
                begun = time.perf_counter()
                task_id = service.submission.submit(request, key).task_id
                job, _ = service.jobs.wait(task_id, key, 60)
                took[image_format, size].append(time.perf_counter() - begun)
                assert job is not None
                assert job.state == "completed"
    finally:
        service.jobs.stop_waiting()
    medians = {
        image_format: {size: median(took[image_format, size]) for size in _CHUNKS}
        for image_format in _FORMATS
    }
    rows = [(f"{size}", *(medians[name][size] for name in _FORMATS)) for size in _CHUNKS]
    report.table("Seconds of a job of 5000 by chunk size", ("items a chunk", *_FORMATS), rows)
    report.figures["chunk_sizes"] = medians


def _request(image_format: ImageFormat, chunk_size: int) -> JobRequest:
    items = EncodedItems(chunk_size)
    for first in range(0, len(_ITEMS), chunk_size):
        items.append(_ITEMS[first : first + chunk_size])
    return JobRequest(
        gtin="09506000134352",
        items=items,
        format=image_format,
        size=400,
        error_correction="M",
        link_base="https://id.gs1.org",
    )
