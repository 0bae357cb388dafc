"""What becomes of a job when a message is lost to its worker, or a worker takes long."""

import threading
from collections.abc import Iterator
from typing import cast

import msgspec
import pytest
import redis
from falcon.testing import TestClient

from pipeline.actors.failure_recorder import FailureRecorder
from pipeline.actors.render_chunk import ChunkRenderer
from pipeline.broker.names import EXPRESS_QUEUE
from pipeline.errors import StoreUnavailableError
from pipeline.ledger import keys
from pipeline.ledger.entries import ChunkWork
from pipeline.maintenance.sweep import open_sweep
from pipeline.monitoring.stopwatch import Stopwatch
from pipeline.service import Settings
from tests.faults.proxy import FaultProxy, Mode
from tests.integration.conftest import StartWorker
from tests.integration.test_restore import ITEMS, end_of, poll, submit
from tests.waiting import wait_for


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


class FirstTry:
    """Has the first try at a chunk fail when it is told to, and others wait until it has ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun: list[ChunkWork] = []
        self.fails = threading.Event()
        self._ended = threading.Event()
        render, after_nack = ChunkRenderer._render, FailureRecorder.after_nack

        def fail_first(renderer: ChunkRenderer, work: ChunkWork, watch: Stopwatch) -> object:
            self.begun.append(work)
            if len(self.begun) == 1:
                assert self.fails.wait(60)
                raise StoreUnavailableError("away")
            assert self._ended.wait(60)
            return render(renderer, work, watch)

        def tell(*args: object, **kwargs: object) -> None:
            after_nack(*args, **kwargs)  # type: ignore[arg-type] # as it is called
            self._ended.set()

        monkeypatch.setattr(ChunkRenderer, "_render", fail_first)
        monkeypatch.setattr(FailureRecorder, "after_nack", tell)


def ends(connection: redis.Redis) -> dict[str, str]:
    """Return how often a job has ended in which way."""
    counts = cast("dict[str, str]", connection.hgetall(keys.COUNTS))
    return {name: count for name, count in counts.items() if name.startswith("jobs ")}


def test_a_message_that_another_worker_was_handed_fails_no_job(
    client: TestClient,
    settings: Settings,
    start_worker: StartWorker,
    connection: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when a worker was silent for longer than the heartbeat's time-out, and lives."""
    once = msgspec.structs.replace(settings, max_retries=0)
    tries = FirstTry(monkeypatch)
    task_id = submit(client, ITEMS[:10])
    silent = start_worker(settings=once)
    wait_for(lambda: tries.begun, "the first try")
    for consumer in silent.consumers.values():
        consumer.pause()
    for consumer in silent.consumers.values():
        assert consumer.paused_event.wait(60)
    (fetched,) = connection.scan_iter(f"dramatiq:__acks__.*.{EXPRESS_QUEUE}")
    (message,) = connection.smembers(fetched)
    connection.delete(fetched)  # as Dramatiq's maintenance does
    connection.rpush(keys.queue(EXPRESS_QUEUE), message)
    start_worker(settings=once)
    wait_for(lambda: len(tries.begun) == 2, "the other try")
    tries.fails.set()
    assert end_of(client, task_id).json["status"] == "completed"
    assert ends(connection) == {"jobs png completed": "1"}


@pytest.mark.long
def test_a_chunk_that_takes_longer_than_its_lease_is_rendered_once(
    client: TestClient,
    settings: Settings,
    start_worker: StartWorker,
    connection: redis.Redis,
    proxy: FaultProxy,
) -> None:
    hasty = msgspec.structs.replace(settings, lease=3, staging="object")
    task_id = submit(client, ITEMS[:10])
    proxy.mode = Mode(delay=0.7)  # before each of twelve requests
    start_worker(settings=msgspec.structs.replace(hasty, s3_endpoint_url=proxy.url))
    sweep = open_sweep(hasty)

    def staged() -> bool:
        assert sweep.once()
        return bool(poll(client, task_id).json["chunks"]["staged"] == 1)

    wait_for(staged, "a staged chunk", pause=0.25)
    assert connection.hgetall(keys.attempts(task_id)) == {"0": "1"}
    proxy.mode = Mode()
    assert end_of(client, task_id).json["status"] == "completed"
