"""Jobs from POST to ``completed`` as their client sees it, beside the replaced design.

Both run on the same Valkey and S3 and take turns. The client of the reference polls it, every 5 ms
at first and ten times a second from then on; it has no other way to learn of the end.
"""

import tempfile
import time
from collections import defaultdict
from pathlib import Path

from tests.benchmarks.connection import Connection
from tests.benchmarks.reference_stack import running_reference
from tests.benchmarks.report import Report, median
from tests.benchmarks.scene import BULK, Scene, request_body, run_job

CASES = (("svg", 400), ("png", 400), ("png", 2000))
_SIZES = (1, 100, 1000, 5000)
_SMALL = 100  # items up to which the reference runs as often as the service
#: Times the reference's speed, by format, size and items.
_WANTED = {
    ("svg", 400, 5000): 75,
    ("png", 400, 5000): 90,
    ("png", 2000, 5000): 70,
    ("svg", 400, 100): 15,
    ("png", 400, 100): 20,
    ("svg", 400, 1): 1.2,
    ("png", 400, 1): 1.2,
}
_ONE_ITEM = 60  # milliseconds

Case = tuple[str, int, int]


def measure(scene: Scene, report: Report) -> None:
    """Time both by turns."""
    ours: dict[Case, list[float]] = defaultdict(list)
    theirs: dict[Case, list[float]] = defaultdict(list)
    rounds, repeats = (1, 3) if report.quick else (2, 5)
    with (
        tempfile.TemporaryDirectory() as directory,
        running_reference(scene.ready, Path(directory)) as url,
    ):
        client, reference = scene.connect(), Connection(url)
        run_job(client, request_body(1000, "png"))
        for _ in range(rounds):
            report.pace.look()
            for items in _SIZES:
                for image_format, size in CASES:
                    case = (image_format, size, items)
                    body = request_body(items, image_format, size)
                    for _ in range(repeats if items <= _SMALL else 1):
                        theirs[case].append(_run_reference(reference, body))
                    for _ in range(3 * repeats if items == 1 else repeats):
                        ours[case].append(run_job(client, body).seconds)
    _tell(report, ours, theirs)


def _run_reference(client: Connection, body: bytes) -> float:
    begun = time.perf_counter()
    task = client.post(BULK, body)
    while (state := client.get(task["poll_url"])["status"]) != "completed":
        assert state != "failed", task
        time.sleep(0.005 if time.perf_counter() - begun < 1 else 0.1)
    return time.perf_counter() - begun


def _tell(report: Report, ours: dict[Case, list[float]], theirs: dict[Case, list[float]]) -> None:
    rows, figures = [], []
    for case, samples in sorted(ours.items(), key=lambda pair: pair[0]):
        name, size, items = case
        here, there = median(samples), median(theirs[case])
        label = f"{name} {size}" if name == "png" else name
        rows.append((label, f"{items:,}", here, there, there / here))
        figures.append(
            {
                "format": name,
                "size": size,
                "items": items,
                "seconds": here,
                "of": len(samples),
                "reference_seconds": there,
                "reference_of": len(theirs[case]),
                "ratio": there / here,
            }
        )
        if case in _WANTED:
            title = f"job of {items}, {label}"
            report.target(title, there / here, "times", least=_WANTED[case])
    one = 1000 * median(ours["png", 400, 1])
    report.target("job of one item, p50", one, "ms", most=_ONE_ITEM)
    columns = ("format", "items", "s, qrmill", "s, reference", "times as fast")
    report.table("Job: POST to completed (medians)", columns, rows)
    report.figures["job"] = figures
