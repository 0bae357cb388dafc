"""Hostile clients beside well-behaved tenants, for a quarter of an hour."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults.hostile_clients import LARGE, Keys
from tests.faults.rig import Rig
from tests.faults.scene import Scene
from tests.faults.tenants import Tenants

_TENANTS, _SECONDS = 10, 900.0
#: Small, so that one tenant's floods reach its share of the backlog within the first minutes.
_BACKLOG = 200
HOSTILE_SETTINGS = {
    "QRMILL_CHUNK_SIZE": "500",
    "QRMILL_MAX_BACKLOG": str(_BACKLOG),
    "QRMILL_CALLBACK_HTTP": "true",
    "QRMILL_CALLBACK_NETWORKS": "127.0.0.0/8",
}
#: Growth of a process after the first third that still counts as level: a share, and megabytes.
_GROWTH, _MEGABYTES = 1.15, 15
_STORES = {"s3", "valkey", "rabbitmq"}  # they grow with what is stored


def hostile_clients(scene: Scene) -> None:
    """Ten tenants send and poll while clients with a key, and without, do what they can."""
    keys = [scene.rig.new_key() for _ in range(_TENANTS)]
    memory = [scene.rig.process_memory()]
    outcomes: dict[str, Counter[str]] = {}
    with (
        scene.follower.paused(),
        Tenants(scene.load, scene.follower, keys) as tenants,
        _hostile(scene.rig, outcomes) as clients,
    ):
        for _ in range(3):
            for _ in scene.every(1, _SECONDS / 3):
                tenants.raise_error()
                assert clients.poll() is None, "the hostile clients have ended"
            memory.append(scene.rig.process_memory())
    tenants.raise_error()
    _judge(scene, tenants, memory, outcomes)


@contextmanager
def _hostile(rig: Rig, outcomes: dict[str, Counter[str]]) -> Iterator["subprocess.Popen[str]"]:
    """Run the hostile clients in a process of their own, and add what they met to ``outcomes``."""
    command = [sys.executable, "-m", "tests.faults.hostile_clients", str(urlsplit(rig.url).port)]
    pipe = subprocess.PIPE
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=root, text=True) as process:
        assert process.stdin is not None
        process.stdin.write("".join(f"{rig.new_key()}\n" for _ in Keys._fields))
        process.stdin.flush()
        try:
            yield process
        finally:
            process.terminate()
            printed, _ = process.communicate(timeout=60)
    outcomes |= {name: Counter(counts) for name, counts in json.loads(printed).items()}


def _judge(
    scene: Scene,
    tenants: Tenants,
    memory: list[dict[str, list[int]]],
    outcomes: dict[str, Counter[str]],
) -> None:
    scene.notes.append(tenants.durations())
    scene.notes += [f"{name}: {dict(counts)}" for name, counts in outcomes.items()]
    if failures := tenants.failures():
        scene.wrong.append(f"well-behaved tenants got {failures}")
    scene.wrong += [f"{name}: {counts}" for name, counts in _errors(outcomes)]
    scene.wrong += scene.rig.log_lines("Traceback") + scene.rig.log_lines("unexpected error")
    for name in memory[0]:
        sizes = [each[name] for each in memory]
        scene.notes.append(f"resident MB, {name}: {'; '.join(map(str, sizes))}")
        # In the short form, processes still grow to the size that this load needs.
        if not scene.short and name not in _STORES and not is_level(sizes):
            scene.wrong.append(f"the memory of {name} is not level")


def _errors(outcomes: dict[str, Counter[str]]) -> Iterator[tuple[str, dict[str, int]]]:
    """Yield what no client should get, hostile or not: 5xx but 503, and large responses."""
    for name, counts in outcomes.items():
        found = {each: count for each, count in counts.items() if _is_error(each)}
        if found:
            yield name, found


def _is_error(outcome: str) -> bool:
    return outcome == LARGE or (outcome.startswith("5") and outcome != "503")


def is_level(sizes: list[list[int]]) -> bool:
    """Return whether each process has at the end about the memory that it had after a third.

    Args:
        sizes: megabytes of each process of a part, at the start, after each third, and at the end.
    """
    _, third, *_, end = sizes
    return len(third) == len(end) and all(
        after <= before * _GROWTH + _MEGABYTES for before, after in zip(third, end, strict=True)
    )
