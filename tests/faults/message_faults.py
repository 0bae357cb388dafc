"""Faults of the broker: messages twice, in another order, callbacks too early and too late."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from deploy.embedded.process import wait_until
from pipeline.broker.names import BUNDLE_QUEUES, RENDER_QUEUES
from tests.faults.rig import Rig, send
from tests.faults.scene import Scene


@contextmanager
def _stopped_workers(rig: Rig) -> Iterator[None]:
    """Let no message be taken through the block."""
    pids = rig.worker_processes()
    for pid in pids:
        send(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            send(pid, signal.SIGCONT)


def messages_twice(scene: Scene) -> None:
    """Every message is delivered twice, in another order each time."""
    with scene.rig.messages() as messages:
        with _stopped_workers(scene.rig):
            scene.submit()
            scene.begin()
            doubled = sum(map(messages.double, RENDER_QUEUES))
            for queue in RENDER_QUEUES:
                messages.shuffle(queue, scene.rig.random)
        scene.notes.append(f"{doubled} messages were doubled")
        for _ in scene.every(0.2, 20):
            for queue in BUNDLE_QUEUES:
                messages.double(queue)


def messages_reordered(scene: Scene) -> None:
    """The waiting messages are put into another order, again and again."""
    with scene.rig.messages() as messages:
        scene.submit()
        scene.begin()
        for _ in scene.every(0.2, 20):
            for queue in (*RENDER_QUEUES, *BUNDLE_QUEUES):
                messages.shuffle(queue, scene.rig.random)


def callbacks_early(scene: Scene) -> None:
    """Bundles are asked for before, and all the time while, their chunks are rendered."""
    with scene.rig.messages() as messages:
        with _stopped_workers(scene.rig):
            scene.submit()
            scene.begin()
        for _ in scene.every(0.3, 15):
            for order in scene.load.open_orders():
                if order.task_id is not None:
                    messages.ask_for_bundle(order.task_id)


def callbacks_late(scene: Scene) -> None:
    """Bundles' messages are held back for 20 s, and asked for again when all is done."""
    with scene.rig.messages() as messages:
        scene.submit()
        scene.begin()
        for _ in scene.every(0.05, 20):
            with ExitStack() as held:
                for queue in BUNDLE_QUEUES:
                    held.enter_context(messages.held(queue))
                scene.last(2)
        wait_until(lambda: not scene.load.open_orders(), 120)
        for order in scene.load.orders:
            if order.task_id is not None:
                messages.ask_for_bundle(order.task_id)
        wait_until(lambda: not any(map(messages.waiting, BUNDLE_QUEUES)), 30)
