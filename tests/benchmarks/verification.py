"""What verification costs: CPU seconds of all processes for a job, with it and without.

Two stacks run side by side, one with ``QRMILL_VERIFY=off``, and take turns with the same job, so
that whatever else the machine does meets them alike. A stack that waits costs next to nothing.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks.parts import cpu_seconds
from tests.benchmarks.report import Report, median
from tests.benchmarks.scene import Scene, request_body, run_job, running_scene

_ITEMS = 5000
_FORMATS = ("png", "svg")
_ROUNDS, _QUICK_ROUNDS = 15, 5
_MOST = 1.4


def main(report: Report) -> None:
    """Print the median of each job's CPU seconds and their ratio."""
    rounds = _QUICK_ROUNDS if report.quick else _ROUNDS
    with ExitStack() as stack:
        scenes = {}
        for verify in ("off", "on"):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            scenes[verify] = stack.enter_context(running_scene(directory, QRMILL_VERIFY=verify))
        found = {name: _measure(scenes, request_body(_ITEMS, name), rounds) for name in _FORMATS}
    report.figures["verification"] = found
    rows = [
        (f"{_ITEMS:,} {name.upper()}", each["off"], each["on"], each["on"] / each["off"])
        for name, each in found.items()
    ]
    report.table("CPU seconds of all processes for a job", ("job", "off", "on", "ratio"), rows)
    for name, each in found.items():
        ratio = each["on"] / each["off"]
        report.target(f"CPU of {name} with verification, by without", ratio, "", most=_MOST)


def _measure(scenes: dict[str, Scene], body: bytes, rounds: int) -> dict[str, float]:
    """Return the median of a job's CPU seconds with each setting."""
    clients = {verify: scene.connect() for verify, scene in scenes.items()}
    taken: dict[str, list[float]] = {verify: [] for verify in scenes}
    for number in range(rounds + 1):
        for verify, scene in scenes.items():
            before = _service_seconds(scene)
            ended = run_job(clients[verify], body)
            assert ended.answer["bundle"]["verified"] == (verify == "on")
            if number:  # the first job of each stack warms it up
                taken[verify].append(_service_seconds(scene) - before)
    return {verify: median(seconds) for verify, seconds in taken.items()}


def _service_seconds(scene: Scene) -> float:
    taken = cpu_seconds(scene.ready)
    return sum(seconds for part, seconds in taken.items() if part != "load generator")
