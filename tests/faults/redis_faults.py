"""Faults of Redis: killed, frozen, emptied, away, full."""

import signal

import httpx2

from deploy.embedded.process import wait_until
from tests.faults.orders import Order
from tests.faults.outages import die_again_and_again, down
from tests.faults.refusals import ask_and_be_refused
from tests.faults.rig import send, wait_for_pid
from tests.faults.scene import Scene


def kill_redis(scene: Scene) -> None:
    """Kill Redis; it is started again with its append-only file."""
    scene.submit()
    scene.begin()
    scene.rig.kill_part("valkey")


def redis_dying(scene: Scene) -> None:
    """Kill Redis again and again while requests come in: it dies at every step of accepting one."""
    die_again_and_again(scene, "valkey", 0.5, 40)


def freeze_redis(scene: Scene) -> None:
    """Stop Redis for 20 s without ending it: connections stay, answers do not come."""
    scene.submit()
    scene.begin()
    pid = wait_for_pid(scene.rig, "valkey")
    send(pid, signal.SIGSTOP)
    try:
        scene.last(20)
    finally:
        send(pid, signal.SIGCONT)


def empty_redis(scene: Scene) -> None:
    """FLUSHALL in the middle of jobs, and once some have ended."""
    scene.submit(8, (5, 20, 60))
    wait_until(lambda: not scene.load.open_orders(), 60)
    scene.submit(20)
    scene.begin()
    with scene.rig.redis() as client:
        client.flushall()
    look_again(scene)
    send_again(scene)


def send_again(scene: Scene) -> None:
    """Send every accepted request once more: a job that was restored has its Idempotency-Key."""
    with scene.load.client() as client:
        for order in scene.load.orders:
            if order.task_id is None:
                continue
            answer = scene.load.post(client, order)
            if answer.status_code != httpx2.codes.ACCEPTED:
                scene.wrong.append(f"{order.task_id} sent again was answered {answer.status_code}")
            elif answer.json()["task_id"] != order.task_id:
                scene.wrong.append(f"{order.task_id} sent again was {answer.json()['task_id']}")


def look_again(scene: Scene) -> None:
    """Ask for every job that had ended: it has to be found."""
    with scene.load.client() as client:
        for order in scene.load.orders:
            answer = client.get(f"/qr/bulk/{order.task_id}/")
            order.unknown = order.unknown or answer.status_code == httpx2.codes.NOT_FOUND


def redis_away(scene: Scene) -> None:
    """Redis is down for 60 s while requests come in; each is refused within 3 s."""
    scene.submit()
    scene.begin()
    with down(scene.rig, "valkey", scene.rig.stack.data_dir / "valkey" / "valkey.conf", 30):
        ask_and_be_refused(scene, "Redis", 60)


def redis_full(scene: Scene) -> None:
    """Redis rejects writes for 40 s, as with a full memory; requests are refused, polls are not."""
    scene.submit(8, (5, 20, 60))
    wait_until(lambda: not scene.load.open_orders(), 60)
    ended = [*scene.load.orders]
    scene.submit()
    scene.begin()
    with scene.rig.redis() as client:
        client.config_set("maxmemory", 1)
        try:
            ask_and_be_refused(scene, "Redis", 40)
            poll_all(scene, ended)
        finally:
            client.config_set("maxmemory", 0)


def poll_all(scene: Scene, ended: list[Order]) -> None:
    """Poll jobs that had ended before the fault: each poll has to be answered."""
    with scene.load.client() as client:
        for order in ended:
            answer = client.get(f"/qr/bulk/{order.task_id}/")
            if answer.status_code != httpx2.codes.OK:
                scene.wrong.append(f"a poll of {order.task_id} was answered {answer.status_code}")
        ready = client.get("/readyz").status_code
        if ready != httpx2.codes.SERVICE_UNAVAILABLE:
            scene.wrong.append(f"/readyz was answered {ready}")
