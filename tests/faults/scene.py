"""One fault's run: a stack, a load on it, the fault, and the judgement of what became of it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2

from deploy.embedded.process import wait_until
from tests.faults.follow import Follower
from tests.faults.load import Load
from tests.faults.orders import SIZES, Order
from tests.faults.report import Row
from tests.faults.rig import Rig, running_rig
from tests.faults.verify import RepeatedOrMissingError, WrongBundleError, verify_bundle
from tests.rabbitmq import RabbitServer

#: Small chunks: a job is many messages, so a fault finds it at any step.
_SETTINGS = {"QRMILL_CHUNK_SIZE": "20"}
#: The same waits in less time.
_SHORT_SETTINGS = {
    "QRMILL_HEARTBEAT_TIMEOUT": "5",
    "QRMILL_LEASE": "10",
    "QRMILL_RETRY_BACKOFF": "1000",
}
_SHORT, _LONG = 0.25, 1.0
_SHORT_WAIT = 0.4
LEAST_IN_FLIGHT = 10
#: How often more jobs are sent if there are fewer, and of how many items. On a fast machine, small
#: ones end while others are being sent.
_TOP_UPS, _TOP_UP_ITEMS = 5, 1500
#: Orders that are sent once more at the end, besides those that were sent more than once.
_REPLAYED = 3


class Scene:
    """What a fault's function is given."""

    def __init__(self, rig: Rig, load: Load, follower: Follower, scale: float) -> None:
        self.rig, self.load, self.follower = rig, load, follower
        self.in_flight: int | None = None
        self.notes: list[str] = []
        self.affected: list[Order] = []
        self.wrong: list[str] = []
        self._scale = scale
        self._never = threading.Event()

    @property
    def short(self) -> bool:
        return self._scale < _LONG

    def begin(self) -> None:
        """Note how many jobs are open as the fault begins; send more where they are too few."""
        for _ in range(_TOP_UPS):
            self.in_flight = len(self.load.open_orders())
            if self.in_flight >= LEAST_IN_FLIGHT:
                return
            self.submit(LEAST_IN_FLIGHT, (_TOP_UP_ITEMS,))

    def last(self, seconds: float) -> None:
        """Let the fault last for ``seconds``, less in a short run."""
        self._never.wait(seconds * self._scale)

    def every(self, pause: float, seconds: float) -> Iterator[float]:
        """Yield the seconds gone by, each ``pause``, until ``seconds`` (less in a short run)."""
        begin = time.monotonic()
        while (gone := time.monotonic() - begin) < seconds * self._scale:
            yield gone
            self._never.wait(pause)

    @contextmanager
    def busy(self, in_flight: int = 14, most: int = 400) -> Iterator[None]:
        """Keep orders in flight through the block."""
        stop = threading.Event()
        arguments = {"in_flight": in_flight, "most": most}
        sender = threading.Thread(target=self.load.keep_busy, args=(stop,), kwargs=arguments)
        sender.start()
        wait_until(lambda: len(self.load.open_orders()) >= min(in_flight, LEAST_IN_FLIGHT), 30)
        try:
            yield
        finally:
            stop.set()
            sender.join(90)

    def submit(self, count: int = 16, sizes: Iterable[int] = SIZES) -> None:
        self.load.submit(count, sizes)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: its name, what does it, and how its stack is set up.

    Attributes:
        within: seconds after the fault by which every job has to have ended.
        settings: of the service.
        of_rabbitmq: it makes sense where that is the broker.
        first_worker: makes the first worker's additional environment, given a directory.
        sentinels: its Redis is a group of servers that Sentinels watch.
        proxied: its service reaches S3 through the proxy.
    """

    name: str
    does: Callable[[Scene], None]
    within: float = 150.0
    settings: Mapping[str, str] = field(default_factory=dict)
    of_rabbitmq: bool = False
    first_worker: Callable[[Path], Mapping[str, str]] = lambda _: {}
    sentinels: bool = False
    proxied: bool = True


def run_fault(
    fault: Fault, directory: Path, *, short: bool, symbols: int, on_rabbitmq: bool = False
) -> Row:
    """Run one fault on a stack of its own and return what came of it."""
    rabbitmq = RabbitServer() if on_rabbitmq else None
    settings, more = settings_of(fault, short=short), fault.first_worker(directory)
    with running_rig(
        directory,
        settings,
        more,
        sentinels=fault.sentinels,
        proxied=fault.proxied,
        rabbitmq=rabbitmq,
    ) as rig:
        return run_fault_on(rig, fault, directory, short=short, symbols=symbols)


def settings_of(fault: Fault, *, short: bool) -> Mapping[str, str]:
    """Return the settings of the service that a fault is done to."""
    return {**_SETTINGS, **(_SHORT_SETTINGS if short else {}), **fault.settings}


def run_fault_on(rig: Rig, fault: Fault, directory: Path, *, short: bool, symbols: int) -> Row:
    """Run one fault on a stack that runs, and return what came of it."""
    load = Load(rig.url, rig.new_key(), fault.name[:12])
    follower = Follower(load, directory)
    scene = Scene(rig, load, follower, _SHORT if short else _LONG)
    with follower.running():
        fault.does(scene)
        ended_at = time.monotonic()
        affected = [order for order in load.orders if order.open]
        follower.wait_all_ended(fault.within * (_SHORT_WAIT if short else 1))
    if not rig.wait_back():
        scene.wrong.append(f"not every part came back: {rig.stack.output()[-500:]}")
    return _judge(fault.name, scene, affected, ended_at, symbols)


def _judge(name: str, scene: Scene, affected: list[Order], ended_at: float, symbols: int) -> Row:
    accepted = [order for order in scene.load.orders if order.task_id is not None]
    row = Row(name, jobs=len(accepted), in_flight=scene.in_flight or 0, notes=scene.notes)
    requests = scene.rig.accepted_requests()
    for order in accepted:
        _count_end(order, row, scene)
        _count_second_end(order, row, scene)
        _count_second_jobs(order, row, requests.get(order.marker, []))
        _count_replay(order, row, scene)
        if order.completed:
            _count_bundle(order, row, scene, symbols)
    row.recovery = max((order.ended_at - ended_at for order in affected if order.ended), default=0)
    row.recovery = max(row.recovery, 0.0)
    row.wrong += len(scene.wrong)
    row.notes += scene.wrong
    if scene.in_flight is not None and row.in_flight < LEAST_IN_FLIGHT:
        row.notes.append(f"only {row.in_flight} jobs were in flight")
    _note_answers(row, scene)
    return row


def _count_end(order: Order, row: Row, scene: Scene) -> None:
    row.lost += order.unknown
    if order.unknown:
        row.notes.append(f"lost: {order.task_id} was answered 404 after it was accepted")
    if order.status is None:
        row.stuck += 1
        _explain(row, scene, order, f"stuck: {order.task_id}, {len(order.body['items'])} items")
    elif order.completed:
        row.completed += 1
    elif order.status["error"] and order.status["error_code"]:
        row.failed += 1
    else:
        row.wrong += 1
        _explain(row, scene, order, f"failed without a reason: {order.status}")


def _count_second_end(order: Order, row: Row, scene: Scene) -> None:
    """Ask once more for a job that had ended: it ended once."""
    if order.status is None:
        return
    before, now = order.status["status"], scene.follower.look(order)["status"]
    if now != before:
        row.wrong += 1
        code = order.status["error_code"]
        _explain(row, scene, order, f"{order.task_id} ended {before} ({code}), and is {now} now")


def _count_second_jobs(order: Order, row: Row, found: list[str]) -> None:
    if order.task_id not in found:
        row.wrong += 1
        row.notes.append(f"{order.task_id} has no request object in S3: {found}")
    others = [task_id for task_id in found if task_id != order.task_id]
    if others:
        row.duplicates += len(others)
        row.notes.append(f"second jobs of {order.idempotency_key} (POSTs {order.posts}): {others}")


def _count_replay(order: Order, row: Row, scene: Scene) -> None:
    """Send a request again that was sent more than once, or was among the first: it is one job."""
    if len(order.posts) == 1 and order not in scene.load.orders[:_REPLAYED]:
        return
    first = order.task_id
    with scene.load.client() as client:
        answer = scene.load.post(client, order)
    if answer.status_code != httpx2.codes.ACCEPTED:
        row.wrong += 1
        row.notes.append(f"{first} sent again was answered {answer.status_code} {answer.text}")
    elif answer.json()["task_id"] != first:
        row.duplicates += 1
        row.notes.append(f"{first} sent again became {answer.json()['task_id']}")


def _count_bundle(order: Order, row: Row, scene: Scene, symbols: int) -> None:
    try:
        scene.follower.download(order)
        scene.follower.download(order)
        assert order.bundle is not None
        verify_bundle(order.bundle, order.body, symbols)
        order.bundle.unlink()
    except RepeatedOrMissingError as error:
        row.duplicates += 1
        _explain(row, scene, order, f"{order.task_id}: {error}")
    except (WrongBundleError, httpx2.HTTPError) as error:
        row.wrong += 1
        _explain(row, scene, order, f"{order.task_id}: {type(error).__name__}: {error}")
    told = order.status["bundle"]["sha256"] if order.status else None
    if len({*order.downloads, told}) > 1:
        row.duplicates += 1
        row.notes.append(f"{order.task_id}: downloads of different bytes: {order.downloads}")


def _explain(row: Row, scene: Scene, order: Order, what: str) -> None:
    row.notes.append(what)
    explained = sum(note.startswith("    ") for note in row.notes)
    if order.task_id and explained < 30:  # a few jobs tell enough
        row.notes += [f"    {line}" for line in scene.rig.log_lines(order.task_id)]
        row.notes += [f"    ledger: {line}" for line in _ledger(scene, order.task_id)]


def _ledger(scene: Scene, task_id: str) -> list[str]:
    with scene.rig.redis() as client:
        job = client.hgetall(f"qrmill:{{{task_id}}}:job")
        attempts = client.hgetall(f"qrmill:{{{task_id}}}:attempts")
        staged = client.hlen(f"qrmill:{{{task_id}}}:staged")
    fields = {name.decode(): value.decode() for name, value in job.items()}
    shown = ("state", "chunks", "claim_owner", "claim_until", "error_code")
    return [
        f"{ {name: fields.get(name) for name in shown} } staged {staged}, begun {len(attempts)}"
    ]


def _note_answers(row: Row, scene: Scene) -> None:
    reasons = Counter(
        str(order.status["error_code"])
        for order in scene.load.orders
        if order.status is not None and not order.completed
    )
    never = sum(order.task_id is None for order in scene.load.orders)
    row.notes.append(
        f"POSTs {dict(scene.load.posts())}, polls {dict(scene.follower.polls)}"
        + (f", failed {dict(reasons)}" if reasons else "")
        + (f", {never} never accepted" if never else "")
        + (f", proxy {harm}" if (harm := scene.rig.harm()) else "")
    )
