"""Steps that take longer than a lease lasts: the lease is kept, and no work is done twice."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
import pytest
import redis

from pipeline.auth.api_key import ApiKey
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.entries import ChunkWork
from pipeline.maintenance.sweep import open_sweep
from pipeline.model.jobs import Item
from pipeline.rendering import render_items
from pipeline.service import Service, Settings
from tests.faults.proxy import PASS, FaultProxy, Mode, Seen
from tests.integration.conftest import StartWorker
from tests.integration.test_pipeline import ended, make_request
from tests.waiting import wait_for

LEASE = 1  # second
LONG = Mode(delay=3 * LEASE)

Chosen = Callable[[Seen], bool]


def is_bundle(target: str) -> bool:
    return target.endswith("/bundle.zip")


def is_staging(request: Seen) -> bool:
    return "/staging-" in request.target


#: The requests that are slow, by what their sender holds meanwhile.
STEPS: dict[str, Chosen] = {
    "items are read": lambda seen: seen.method == "GET" and seen.target.endswith("request.json"),
    "a chunk is staged": lambda seen: seen.method == "PUT" and is_staging(seen),
    "staged chunks are read": lambda seen: seen.method == "GET" and is_staging(seen),
    "a part is uploaded": lambda seen: "partNumber=" in seen.target,
    "an upload begins": lambda seen: seen.method == "POST" and seen.target.endswith("?uploads"),
    "an upload is completed": lambda seen: seen.method == "POST" and "uploadId=" in seen.target,
    "a bundle is written": lambda seen: seen.method == "PUT" and is_bundle(seen.target),
}
#: Bytes of a part of the bundles; the server of these tests takes small parts.
SMALL, USUAL = 1024, Settings().upload_part_bytes


class Case(NamedTuple):
    """A job with a slow step.

    Attributes:
        step: the slow step.
        items: number of items; a chunk has ten.
        part_bytes, staging: settings of the worker.
    """

    step: str
    items: int = 11
    part_bytes: int = SMALL
    staging: str = "zip"


CASES = [
    *(Case(step) for step in STEPS if step != "a bundle is written"),
    Case("a bundle is written", part_bytes=USUAL),
    Case("items are read", 2, USUAL),
    Case("a bundle is written", 2, USUAL),
    Case("a part is uploaded", 2),
    Case("an upload is completed", 2),
    Case("a chunk is staged", 2, USUAL, "object"),
]


@pytest.fixture
def key(service: Service) -> ApiKey:
    return service.api_keys.create(name="client", role="client").key


@pytest.fixture
def hasty(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, lease=LEASE)


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def slow_down(proxy: FaultProxy, chosen: Chosen) -> list[str]:
    """Return a list that gets each request; the chosen ones are slow from now on."""
    seen: list[str] = []

    def watch(request: Seen) -> None:
        seen.append(f"{request.method} {request.target}")
        proxy.mode = LONG if chosen(request) else PASS

    proxy.watch = watch
    return seen


@pytest.mark.parametrize("case", CASES, ids=str)
def test_nothing_is_rendered_or_uploaded_twice_while(
    *,
    service: Service,
    key: ApiKey,
    hasty: Settings,
    proxy: FaultProxy,
    start_worker: StartWorker,
    case: Case,
) -> None:
    own = msgspec.structs.replace(hasty, staging=case.staging, upload_part_bytes=case.part_bytes)
    seen = slow_down(proxy, STEPS[case.step])
    sweep = open_sweep(own)
    task_id = service.submission.submit(make_request(case.items), key).task_id
    start_worker(settings=msgspec.structs.replace(own, s3_endpoint_url=proxy.url))

    def has_ended() -> bool:
        sweep.once()
        found = service.jobs.status(task_id, key)
        return found is not None and found.state == "completed"

    wait_for(has_ended, "the job", pause=0.1)
    rescued = sweep.metrics.registry.get_sample_value
    for action in ("chunks", "bundle"):
        assert not rescued("qrmill_sweep_actions_total", {"action": action})
    chunks = service.jobs.chunks(task_id, key, 0, 9)
    assert chunks is not None
    assert {chunk.attempts for chunk in chunks} == {1}
    written = [each for each in seen if each.endswith(("?uploads", "/bundle.zip"))]
    assert len(written) == 1


def test_a_chunk_that_renders_for_long_is_rendered_once(
    *,
    service: Service,
    key: ApiKey,
    hasty: Settings,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[int] = []

    def slowly(work: ChunkWork, items: list[Item]) -> object:
        begun.append(1)
        time.sleep(3 * LEASE)
        return render_items(work, items)

    monkeypatch.setattr("pipeline.actors.render_chunk.render_items", slowly)
    sweep = open_sweep(hasty)
    task_id = service.submission.submit(make_request(2), key).task_id
    start_worker(settings=hasty)
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(0.1):
            sweep.once()

    sweeping = threading.Thread(target=go_on)
    sweeping.start()
    assert ended(service, task_id, key).state == "completed"
    stop.set()
    sweeping.join()
    assert len(begun) == 1


@pytest.mark.long
def test_a_comparison_whose_steps_outlast_the_lease_keeps_it(
    *,
    service: Service,
    key: ApiKey,
    settings: Settings,
    proxy: FaultProxy,
    connection: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("lease", "sweep"):
        monkeypatch.setattr(f"pipeline.maintenance.{name}.LEASE", 1000 * LEASE)
    lost = service.submission.submit(make_request(2), key).task_id
    connection.delete(ledger_keys.job(lost), ledger_keys.ranges(lost))
    connection.zrem(ledger_keys.ACTIVE_JOBS, lost)
    seen = slow_down(proxy, lambda request: "list-type=2" in request.target)
    first = open_sweep(msgspec.structs.replace(settings, s3_endpoint_url=proxy.url))
    result: list[bool] = []
    comparing = threading.Thread(target=lambda: result.append(first.once()))
    comparing.start()
    wait_for(lambda: seen, "the comparison to begin")
    other, turns = open_sweep(settings), []
    while comparing.is_alive():
        turns.append(other.once())
        comparing.join(0.1)
    assert result == [True]
    assert len(turns) > 20
    # The last turn may come when the first has ended already, and its lease runs out.
    assert not any(turns[:-1])
    assert connection.exists(ledger_keys.job(lost))


def test_a_sweep_that_hangs_loses_its_lease(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lease", "sweep"):
        monkeypatch.setattr(f"pipeline.maintenance.{name}.LEASE", 1000 * LEASE)
    monkeypatch.setattr("pipeline.maintenance.sweep._HANGS", 100)
    first, other = open_sweep(settings), open_sweep(settings)
    begun, done = threading.Event(), threading.Event()

    def hang() -> Iterator[None]:
        begun.set()
        done.wait(30)
        yield

    monkeypatch.setattr(first._reconciler, "steps", hang)
    hanging = threading.Thread(target=first.once)
    hanging.start()
    assert begun.wait(30)
    wait_for(other.once, "the other's turn", pause=0.05)
    assert hanging.is_alive()
    done.set()
    hanging.join()
