"""Faults of S3: killed, failing, slow, cutting connections, full."""

import httpx2

from deploy.embedded.process import wait_until
from tests.faults.orders import Order
from tests.faults.proxy import CUTTING, FAILING, FULL, PASS, SLOW
from tests.faults.scene import Scene

_FULL_SECONDS = 150


def kill_s3(scene: Scene) -> None:
    """Kill the S3 server in the middle of jobs, three times; it is started again."""
    scene.submit()
    scene.begin()
    for _ in range(3):
        scene.rig.kill_part("s3")


def s3_failing(scene: Scene) -> None:
    """30 % of the requests are answered 500 or 503 SlowDown."""
    scene.rig.proxy.mode = FAILING
    with scene.busy(most=60):
        scene.begin()
        scene.last(40)
    scene.rig.proxy.mode = PASS


def s3_slow(scene: Scene) -> None:
    """Every request takes 5 s longer."""
    scene.submit()
    scene.begin()
    scene.rig.proxy.mode = SLOW
    scene.last(45)
    scene.rig.proxy.mode = PASS


def s3_cutting(scene: Scene) -> None:
    """30 % of the objects that are read end in the middle of the body."""
    scene.rig.proxy.mode = CUTTING
    with scene.busy(most=60):
        scene.begin()
        scene.last(40)
    scene.rig.proxy.mode = PASS


def s3_full(scene: Scene) -> None:
    """Every write is answered 507 until all jobs have failed; then each is run again."""
    scene.submit()
    scene.begin()
    scene.rig.proxy.mode = FULL
    wait_until(lambda: not scene.load.open_orders(), _FULL_SECONDS)
    scene.rig.proxy.mode = PASS
    failed = [order for order in scene.load.orders if order.ended and not order.completed]
    reasons = {str(order.status["error_code"]) for order in failed if order.status}
    scene.notes.append(f"{len(failed)} of {len(scene.load.orders)} jobs failed: {reasons}")
    if not failed:
        scene.wrong.append("no job failed while the store was full")
    for order in failed:
        _run_again(scene, order)


def _run_again(scene: Scene, order: Order) -> None:
    with scene.load.client() as client:
        answer = client.post(f"/qr/bulk/{order.task_id}/retry/")
    if answer.status_code == httpx2.codes.ACCEPTED:
        order.status = None  # the follower takes it up again
    else:
        scene.wrong.append(f"a re-run was answered {answer.status_code} {answer.text[:100]}")
