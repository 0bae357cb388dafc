"""Ten minutes of jobs and of faults at random."""

import itertools
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from tests.faults.orders import SIZES
from tests.faults.proxy import CUTTING, FAILING, PASS, Mode
from tests.faults.rig import send, wait_for_pid
from tests.faults.scene import Scene

_JOBS, _SECONDS = 200, 600.0
_BETWEEN_FAULTS = 12.0
_FREEZE_SECONDS = 8.0


def soak(scene: Scene) -> None:
    """200 jobs of mixed sizes over 10 minutes, with faults of processes and servers at random."""
    scene.submit(12)
    scene.begin()
    before = scene.rig.memory()
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(_send, scene, over)
        faults = _faults(scene)
        names = sorted(faults)
        done = []
        for _ in scene.every(_BETWEEN_FAULTS, _SECONDS):
            name = scene.rig.random.choice(names)
            done.append(name)
            faults[name]()
        over.set()
        sending.result()
    scene.rig.wait_back()
    scene.notes.append(f"faults: {', '.join(done)}")
    scene.notes.append(f"resident MB at the start {before}, at the end {scene.rig.memory()}")


def _send(scene: Scene, over: threading.Event) -> None:
    """Send jobs evenly through the time; those that a fault held up follow at once."""
    begin, pause = time.monotonic(), _SECONDS / _JOBS
    for number in itertools.count():
        over.wait(max(0.0, begin + number * pause - time.monotonic()))
        if over.is_set() or len(scene.load.orders) >= _JOBS:
            return
        scene.submit(1, [scene.rig.random.choice(SIZES)])


def _faults(scene: Scene) -> dict[str, Callable[[], None]]:
    rig, pause = scene.rig, threading.Event()

    def kill_worker() -> None:
        pids = rig.worker_processes()
        if pids:
            send(rig.random.choice(pids), signal.SIGKILL)

    def kill_workers() -> None:
        for pid in rig.worker_processes():
            send(pid, signal.SIGKILL)

    def kill_api_process() -> None:
        pids = rig.children("api")
        if pids:
            send(rig.random.choice(pids), signal.SIGKILL)

    def freeze(part: str) -> None:
        pid = wait_for_pid(rig, part)
        send(pid, signal.SIGSTOP)
        pause.wait(_FREEZE_SECONDS)
        send(pid, signal.SIGCONT)

    def empty_redis() -> None:
        with rig.redis() as client:
            client.flushall()

    def s3(mode: Mode) -> None:
        rig.proxy.mode = mode
        pause.wait(_FREEZE_SECONDS)
        rig.proxy.mode = PASS

    of_rabbitmq = {
        "kill RabbitMQ": lambda: rig.kill_part("rabbitmq"),
        "freeze RabbitMQ": lambda: freeze("rabbitmq"),
    }
    return (of_rabbitmq if rig.rabbitmq else {}) | {
        "kill worker": kill_worker,
        "kill workers": kill_workers,
        "kill API process": kill_api_process,
        "kill Redis": lambda: rig.kill_part("valkey"),
        "freeze Redis": lambda: freeze("valkey"),
        "empty Redis": empty_redis,
        "kill sweep": lambda: rig.kill_part("sweep"),
        "kill S3": lambda: rig.kill_part("s3"),
        "S3 failing": lambda: s3(FAILING),
        "S3 cutting": lambda: s3(CUTTING),
        "S3 slow": lambda: s3(Mode(delay=1.0)),
    }
