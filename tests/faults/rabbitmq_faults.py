"""Faults of RabbitMQ as the broker: killed, frozen, emptied, away."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pika
from dramatiq.common import dq_name

from deploy.embedded.process import wait_until
from pipeline.broker import ALL_QUEUES
from tests.faults.refusals import ask_and_be_refused
from tests.faults.rig import Rig, send, wait_for_pid
from tests.faults.scene import Scene
from tests.rabbitmq import START_SCRIPT

_PART = "rabbitmq"
_BACK_SECONDS = 60


def kill_rabbitmq(scene: Scene) -> None:
    """Kill RabbitMQ; it is started again with what it has confirmed."""
    scene.submit()
    scene.begin()
    scene.rig.kill_part(_PART)


def rabbitmq_dying(scene: Scene) -> None:
    """Kill RabbitMQ again and again while requests come in."""
    scene.submit(12)
    scene.begin()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(scene.submit, 60, (1, 20, 60, 200))
        for _ in scene.every(2, 80):
            if sending.done():
                sending = pool.submit(scene.submit, 60, (1, 20, 60, 200))
            scene.rig.kill_part(_PART)
        sending.result()


def freeze_rabbitmq(scene: Scene) -> None:
    """Stop RabbitMQ for 20 s without ending it: connections stay, answers do not come."""
    scene.submit()
    scene.begin()
    pid = wait_for_pid(scene.rig, _PART)
    send(pid, signal.SIGSTOP)
    try:
        ask_and_be_refused(scene, "RabbitMQ", 20)
    finally:
        send(pid, signal.SIGCONT)


def empty_rabbitmq(scene: Scene) -> None:
    """Delete every queue in the middle of jobs, with the messages that are in them."""
    assert scene.rig.rabbitmq is not None
    scene.submit(20)
    scene.begin()
    with pika.BlockingConnection(pika.URLParameters(scene.rig.rabbitmq.url)) as connection:
        channel = connection.channel()
        for queue in ALL_QUEUES:
            channel.queue_delete(queue)
            channel.queue_delete(dq_name(queue))


def rabbitmq_away(scene: Scene) -> None:
    """RabbitMQ is down for 60 s while requests come in; each is refused within 3 s."""
    scene.submit()
    scene.begin()
    with _down(scene.rig):
        ask_and_be_refused(scene, "RabbitMQ", 60)


@contextmanager
def _down(rig: Rig) -> Iterator[None]:
    script = rig.stack.data_dir / "rabbitmq" / START_SCRIPT
    aside = script.with_suffix(".aside")
    pid = wait_for_pid(rig, _PART)
    script.rename(aside)
    try:
        for each in (pid, *rig.children(_PART)):
            send(each, signal.SIGKILL)
        yield
    finally:
        aside.rename(script)
        wait_until(lambda: rig.pid(_PART) not in {None, pid}, _BACK_SECONDS)
