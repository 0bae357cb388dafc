"""Faults of RabbitMQ as the broker: killed, frozen, emptied, away."""

import signal

import pika
from dramatiq.common import dq_name

from pipeline.broker.names import ALL_QUEUES
from tests.faults.outages import die_again_and_again, down
from tests.faults.refusals import ask_and_be_refused
from tests.faults.rig import send, wait_for_pid
from tests.faults.scene import Scene
from tests.rabbitmq import START_SCRIPT

_PART = "rabbitmq"


def kill_rabbitmq(scene: Scene) -> None:
    """Kill RabbitMQ; it is started again with what it has confirmed."""
    scene.submit()
    scene.begin()
    scene.rig.kill_part(_PART)


def rabbitmq_dying(scene: Scene) -> None:
    """Kill RabbitMQ again and again while requests come in."""
    die_again_and_again(scene, _PART, 2, 80)


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
    with down(scene.rig, _PART, scene.rig.stack.data_dir / "rabbitmq" / START_SCRIPT, 60):
        ask_and_be_refused(scene, "RabbitMQ", 60)
