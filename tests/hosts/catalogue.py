"""Faults of the network between hosts, by name."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.scene import Scene
from tests.hosts.network import API, REDIS, S3, WORKERS, Network
from tests.hosts.rig import REDIS_PORT, S3_PORT
from tests.hosts.slow_link import Link

_STAYS, _GOES = WORKERS
_SECONDS = 60
#: Twenty milliseconds there and twenty back: other ends of a country, and a line that is not good.
_SLOW = Link(delay=20, jitter=5, loss=0.01)
_TRIES = 9


@dataclass(frozen=True, slots=True)
class HostFault:
    """A fault of the network: its name, what does it, and the seconds it may take to recover."""

    name: str
    does: Callable[[Scene, Network], None]
    within: float = 150.0


def undisturbed(scene: Scene, network: Network) -> None:
    """Nothing: jobs complete on several hosts."""
    scene.submit(24)
    scene.begin()
    for name in WORKERS:
        _expect(scene, network, (name, REDIS, REDIS_PORT), reached=True)


def cut_worker(scene: Scene, network: Network) -> None:
    """One worker host is cut off for 60 s."""
    with (
        _fault_under_load(scene),
        network.cut_off(_GOES),
        _unreached(scene, network, (_GOES, REDIS, REDIS_PORT)),
    ):
        scene.last(_SECONDS)


def cut_worker_for_good(scene: Scene, network: Network) -> None:
    """One worker host is cut off and does not come back."""
    with scene.busy(in_flight=20, most=60):
        scene.begin()
        network.for_good(network.cut_off(_GOES))
        _expect(scene, network, (_GOES, REDIS, REDIS_PORT), reached=False)
        scene.last(20)


def worker_back_late(scene: Scene, network: Network) -> None:
    """One worker host is cut off until all its jobs have ended without it; then it comes back."""
    scene.submit(24)
    scene.begin()
    with network.cut_off(_GOES), _unreached(scene, network, (_GOES, REDIS, REDIS_PORT)):
        if not scene.follower.wait_all_ended(150):
            scene.wrong.append("jobs did not end without the host that was cut off")
    scene.submit(12)  # it takes part again, with what it had begun before still at hand
    scene.last(20)


def unplug_worker(scene: Scene, network: Network) -> None:
    """One worker host's interface is down for 60 s: what it sends fails at once."""
    with (
        _fault_under_load(scene),
        network.unplugged(_GOES),
        _unreached(scene, network, (_GOES, REDIS, REDIS_PORT)),
    ):
        scene.last(_SECONDS)


def redis_from_half(scene: Scene, network: Network) -> None:
    """Half the workers do not reach Redis for 60 s, but S3."""
    with (
        _fault_under_load(scene),
        network.apart(_GOES, REDIS),
        _unreached(scene, network, (_GOES, REDIS, REDIS_PORT)),
    ):
        _expect(scene, network, (_GOES, S3, S3_PORT), reached=True)
        scene.last(_SECONDS)


def cut_redis(scene: Scene, network: Network) -> None:
    """Nobody reaches Redis for 60 s; connections stay, and answers do not come."""
    with (
        _fault_under_load(scene),
        network.cut_off(REDIS),
        _unreached(scene, network, (API, REDIS, REDIS_PORT)),
    ):
        scene.last(_SECONDS)


def cut_s3(scene: Scene, network: Network) -> None:
    """Nobody reaches S3 for 60 s."""
    with (
        _fault_under_load(scene),
        network.cut_off(S3),
        _unreached(scene, network, (API, S3, S3_PORT)),
    ):
        scene.last(_SECONDS)


def slow_and_lossy(scene: Scene, network: Network) -> None:
    """For 60 s the links of Redis and S3 take 20 ms more and lose every hundredth packet."""
    with _fault_under_load(scene):
        before = _median_connect(network)
        with network.slow(REDIS, S3, link=_SLOW) as how:
            during = _median_connect(network)
            scene.last(_SECONDS)
    scene.notes.append(
        f"{_SLOW.delay} ms and {_SLOW.loss:.0%} loss each way by {how}: a connection to Redis took "
        f"{during * 1000:.0f} ms where it took {before * 1000:.0f}"
    )
    if during < before + 1.5 * _SLOW.delay / 1000:
        scene.wrong.append("the links were not slow")


@contextmanager
def _fault_under_load(scene: Scene) -> Iterator[None]:
    """Keep jobs in flight through the block, which is the fault."""
    with scene.busy(in_flight=20, most=20 if scene.short else 100):
        scene.begin()
        yield


@contextmanager
def _unreached(scene: Scene, network: Network, way: tuple[str, str, int]) -> Iterator[None]:
    """Hold it against the scene if a connection is made as the block begins or ends."""
    _expect(scene, network, way, reached=False)
    yield
    _expect(scene, network, way, reached=False)


def _expect(scene: Scene, network: Network, way: tuple[str, str, int], *, reached: bool) -> None:
    found = network.seconds_to_connect(*way, within=2) is not None
    if found != reached:
        scene.wrong.append(f"{' to '.join(map(str, way))}: a connection was made: {found}")


def _median_connect(network: Network) -> float:
    tries = [network.seconds_to_connect(_GOES, REDIS, REDIS_PORT, within=5) for _ in range(_TRIES)]
    return statistics.median(seconds for seconds in tries if seconds is not None)


_ALL = (
    HostFault("undisturbed", undisturbed),
    HostFault("cut-worker", cut_worker),
    HostFault("cut-worker-for-good", cut_worker_for_good),
    HostFault("worker-back-late", worker_back_late),
    HostFault("unplug-worker", unplug_worker),
    HostFault("redis-from-half", redis_from_half),
    HostFault("cut-redis", cut_redis),
    HostFault("cut-s3", cut_s3),
    HostFault("slow-and-lossy", slow_and_lossy),
)
HOST_FAULTS = {fault.name: fault for fault in _ALL}
