"""Faults of workers that upload the bundle of a job of one chunk, which they have in memory."""

import signal
import threading

from tests.faults.process_faults import owner_of
from tests.faults.proxy import Mode, Seen
from tests.faults.rig import send
from tests.faults.scene import Scene

#: Items of jobs of one chunk.
_SIZES = (1, 20, 5, 12)
#: Slow enough that jobs of one chunk are in flight side by side.
_SLOW = Mode(delay=1.0)
_KILLS = 5
#: Seconds for which a worker is stopped: longer than the lease of the run.
_STOPPED, _STOPPED_SHORT = 90, 15


def kill_in_the_one_step(scene: Scene) -> None:
    """Kill the process that uploads the bundle of a job of one chunk, five times."""
    killed = _at_uploads(scene, signal.SIGKILL, _KILLS)
    if len(killed) < _KILLS:
        scene.notes.append(f"workers were killed {len(killed)} times, not {_KILLS}")
    if not killed:
        scene.wrong.append("no worker was found at its upload")


def freeze_in_the_one_step(scene: Scene) -> None:
    """Stop a process at its upload for longer than its lease, then let it go on."""
    stopped = _at_uploads(scene, signal.SIGSTOP, 1)
    if not stopped:
        scene.wrong.append("no worker was found at its upload")
    threading.Event().wait(_STOPPED_SHORT if scene.short else _STOPPED)
    for pid in stopped:
        send(pid, signal.SIGCONT)


def _at_uploads(scene: Scene, number: signal.Signals, times: int) -> list[int]:
    """Send jobs of one chunk, and a signal to the processes at the first uploads of bundles."""
    found: list[int] = []
    done = threading.Event()

    def watch(seen: Seen) -> None:
        if seen.method == "PUT" and seen.target.endswith("/bundle.zip") and not done.is_set():
            pid = owner_of(scene.rig, seen.peer_port)
            if pid is not None:
                send(pid, number)
                found.append(pid)
                if len(found) == times:
                    done.set()

    scene.rig.proxy.mode = _SLOW
    scene.rig.proxy.watch = watch
    scene.submit(24, _SIZES)
    scene.begin()
    done.wait(60)
    done.set()
    return found
