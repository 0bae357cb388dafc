"""What any server that the service leans on may do: die again and again, or be kept down."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from deploy.embedded.process import wait_until
from tests.faults.rig import Rig, send, wait_for_pid
from tests.faults.scene import Scene


def die_again_and_again(scene: Scene, part: str, pause: float, seconds: float) -> None:
    """Kill a part each ``pause`` for ``seconds`` (less in a short run) while requests come in."""
    scene.submit(12)
    scene.begin()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(scene.submit, 60, (1, 20, 60, 200))
        for _ in scene.every(pause, seconds):
            if sending.done():
                sending = pool.submit(scene.submit, 60, (1, 20, 60, 200))
            scene.rig.kill_part(part)
        sending.result()


@contextmanager
def down(rig: Rig, part: str, needed: Path, back_within: float) -> Iterator[None]:
    """Keep a part down through the block: without the file ``needed`` it cannot start again.

    Args:
        rig: the stack.
        part: its name there.
        needed: what it reads or runs when it starts.
        back_within: seconds that it has to come back after the block.
    """
    aside = needed.with_suffix(".aside")
    pid = wait_for_pid(rig, part)
    needed.rename(aside)
    try:
        for each in (pid, *rig.children(part)):
            send(each, signal.SIGKILL)
        yield
    finally:
        aside.rename(needed)
        wait_until(lambda: rig.pid(part) not in {None, pid}, back_within)
