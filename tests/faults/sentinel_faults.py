"""Faults of a Redis that Sentinels watch: its master is killed, frozen.

The masters come back at the end of each; until Sentinels make replicas of them, which takes ten
seconds, they believe to be masters.
"""

import signal
from concurrent.futures import ThreadPoolExecutor

from tests.faults.redis_faults import look_again
from tests.faults.scene import Scene
from tests.waiting import wait_for


def kill_master(scene: Scene) -> None:
    """Kill the master in the middle of jobs, while more come in; it comes back as a replica."""
    group = scene.rig.group
    scene.submit()
    scene.begin()
    before = group.master()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(scene.submit, 20, (1, 20, 60, 200))
        group.kill(before)
        group.wait_for_failover(before)
        group.start_server(before)
        sending.result()
    look_again(scene)
    group.wait_until_follower(before)


def freeze_master(scene: Scene) -> None:
    """Stop the master until there is another, while requests come in; then it goes on.

    Whoever holds a connection to it waits for its answer; when it goes on, it does what it was
    asked before, and does not know that there is another.
    """
    group = scene.rig.group
    scene.submit()
    scene.begin()
    before = group.master()
    with ThreadPoolExecutor(1) as pool:
        group.send(before, signal.SIGSTOP)
        try:
            sending = pool.submit(scene.submit, 20, (1, 20, 60, 200))
            group.wait_for_failover(before)
            scene.last(20)
        finally:
            group.send(before, signal.SIGCONT)
        # Meanwhile it believes to be the master.
        more = pool.submit(scene.submit, 20, (1, 20, 60))
        group.wait_until_follower(before)
        sending.result()
        more.result()
    look_again(scene)


def masters_dying(scene: Scene) -> None:
    """Kill one master after another while requests come in; each comes back as a replica."""
    group = scene.rig.group
    scene.submit(12)
    scene.begin()
    with scene.busy(most=120):
        for _ in range(2 if scene.short else 5):
            before = group.master()
            group.kill(before)
            group.wait_for_failover(before)
            group.start_server(before)
            group.wait_until_follower(before)
            wait_for(group.whole, "the replicas")
    look_again(scene)
