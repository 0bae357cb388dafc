"""Faults of the service's own processes: killed without warning, at bad moments."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil

from tests.faults.proxy import Seen
from tests.faults.rig import Rig, send
from tests.faults.scene import Scene

#: A bundle of so many PNG symbols takes more than one part of the least size there is.
_LARGE = 15_000
_LEAST_PART = 5 * 1024 * 1024


def kill_workers(scene: Scene) -> None:
    """Kill a worker process, master or fork, every 2 s for 60 s."""
    with scene.busy():
        scene.begin()
        for _ in scene.every(2, 60):
            pids = scene.rig.worker_processes()
            if pids:
                send(scene.rig.random.choice(pids), signal.SIGKILL)


def kill_all_workers(scene: Scene) -> None:
    """Kill every worker process at once."""
    scene.submit()
    scene.begin()
    for pid in scene.rig.worker_processes():
        send(pid, signal.SIGKILL)


def kill_api_processes(scene: Scene) -> None:
    """Kill one of gunicorn's processes every second while requests come in."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(1):
            pids = scene.rig.children("api")
            if pids:
                send(scene.rig.random.choice(pids), signal.SIGKILL)

    with ThreadPoolExecutor(1) as pool:
        scene.submit(12)
        scene.begin()
        killing = pool.submit(kill)
        try:
            for _ in scene.every(0.1, 30):
                scene.submit(8, (1, 20, 60))
        finally:
            over.set()
        killing.result()


def kill_the_bundler(scene: Scene) -> None:
    """Kill the process that uploads a bundle, between its first part and its second, thrice."""
    killed: list[int] = []
    done = threading.Event()

    def watch(seen: Seen) -> None:
        if seen.method == "PUT" and "partNumber=2" in seen.target and not done.is_set():
            pid = owner_of(scene.rig, seen.peer_port)
            if pid is not None:
                send(pid, signal.SIGKILL)
                killed.append(pid)
                if len(killed) == 3:
                    done.set()

    scene.rig.proxy.watch = watch
    scene.submit(12, (_LARGE, 20, 60, 200))
    scene.begin()
    if not done.wait(90):
        scene.notes.append(f"the bundler was killed {len(killed)} times, not 3")
    if not killed:
        scene.wrong.append("no bundler was found between two parts")
    done.set()


def owner_of(rig: Rig, port: int) -> int | None:
    """Return which worker process has the local port ``port``."""
    for pid in rig.worker_processes():
        try:
            connections = psutil.Process(pid).net_connections("tcp4")
        except psutil.NoSuchProcess:
            continue
        if any(connection.laddr[1:] == (port,) for connection in connections):
            return pid
    return None


BUNDLER_SETTINGS = {
    "QRMILL_UPLOAD_PART_BYTES": str(_LEAST_PART),
    "QRMILL_MAX_ITEMS": str(_LARGE),
    "QRMILL_CHUNK_SIZE": "250",
}
