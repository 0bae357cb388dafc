"""Jobs of tenants in different lanes, on both brokers, and lanes that no worker reads any more."""

from collections.abc import Iterator
from functools import partial

import dramatiq
import msgspec
import pytest
import redis
from falcon.testing import TestClient

from api.app import create_app
from pipeline.backends import Backends
from pipeline.broker.names import (
    ALL_QUEUES,
    EXPRESS_QUEUES,
    FIRST_LANES,
    LANES,
    RENDER_QUEUES,
)
from pipeline.ledger import keys
from pipeline.maintenance.sweep import Sweep, open_sweep
from pipeline.service import Service, Settings, open_service
from pipeline.worker import build_worker
from tests.lanes import key_in_lane
from tests.waiting import wait_for

GTIN = "9506000134352"


@pytest.fixture(params=["redis", "rabbitmq"])
def settings(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    if request.param == "redis":
        return settings
    return msgspec.structs.replace(settings, broker_url=request.getfixturevalue("broker_url"))


@pytest.fixture
def tenants(service: Service, settings: Settings) -> list[TestClient]:
    """A client in each lane."""
    tokens = [
        key_in_lane(service.api_keys, lane, name="client", role="client").token
        for lane in range(LANES)
    ]
    app = create_app(service, settings)
    return [TestClient(app, headers={"X-API-Key": token}) for token in tokens]


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def post(client: TestClient, items: int) -> str:
    body = {"gtin": GTIN, "format": "svg", "items": [{}] * items}
    answer = client.simulate_post("/qr/bulk/", json=body)
    assert answer.status_code == 202, answer.text
    return str(answer.json["task_id"])


def completed(client: TestClient, task_id: str) -> bool:
    status = client.simulate_get(f"/qr/bulk/{task_id}/").json["status"]
    assert status != "failed"
    return bool(status == "completed")


def rescued(sweep: Sweep, client: TestClient, task_id: str) -> bool:
    sweep.once()
    return completed(client, task_id)


def waiting(service_settings: Settings) -> dict[str, int]:
    """Return the number of waiting messages of each queue that has any."""
    backends = Backends(service_settings, redis_timeout=5, s3_timeout=5)
    states = backends.broker.queues.read()
    return {state.name: state.waiting for state in states if state.waiting}


def note_all(connection: redis.Redis) -> None:
    """Note all queues, as a worker does that is stopped right afterwards."""
    seconds, _ = connection.time()
    connection.zadd(keys.CONSUMED, dict.fromkeys(ALL_QUEUES, seconds * 1000))


def test_each_tenant_s_chunks_are_in_its_lane(
    tenants: list[TestClient], settings: Settings, connection: redis.Redis
) -> None:
    note_all(connection)
    for client in tenants:
        post(client, 25)
        post(client, 5)
    wanted = dict.fromkeys(RENDER_QUEUES, 3) | dict.fromkeys(EXPRESS_QUEUES, 1)
    assert waiting(settings) == wanted


def test_a_worker_reads_every_lane(
    tenants: list[TestClient], worker: dramatiq.Worker, connection: redis.Redis
) -> None:
    assert worker.consumer_whitelist is None
    wait_for(lambda: connection.zcard(keys.CONSUMED) == len(ALL_QUEUES), "notes of all queues")
    jobs = [(client, post(client, items)) for client in tenants for items in (25, 5)]
    for client, task_id in jobs:
        wait_for(partial(completed, client, task_id), "the end of a job")


@pytest.mark.long
def test_what_waits_in_lanes_is_not_lost_when_no_worker_reads_them(
    tenants: list[TestClient], settings: Settings, connection: redis.Redis
) -> None:
    """As after a rollback to a release without lanes."""
    note_all(connection)
    jobs = [(client, post(client, items)) for client in tenants for items in (25, 5)]
    connection.delete(keys.CONSUMED)
    old = build_worker(settings)
    worker = dramatiq.Worker(old, queues={*FIRST_LANES}, worker_threads=2, worker_timeout=50)
    worker.start()
    sweep = open_sweep(msgspec.structs.replace(settings, lease=1))
    try:
        for client, task_id in jobs:
            wait_for(partial(rescued, sweep, client, task_id), "the end of a job", pause=0.2)
        stale = waiting(settings)
        assert {*stale} == {*RENDER_QUEUES, *EXPRESS_QUEUES} - {*FIRST_LANES}
    finally:
        worker.stop()
        old.close()


def test_messages_that_remained_in_a_lane_do_no_harm(
    tenants: list[TestClient],
    service: Service,
    settings: Settings,
    connection: redis.Redis,
    redis_url: str,
) -> None:
    """As when the newer release comes back after a rollback."""
    assert redis_url
    note_all(connection)
    task_id = post(tenants[1], 25)
    connection.delete(keys.CONSUMED)
    # The sweep of the older release sends to the first lane.
    open_service(settings).jobs._dispatcher.send_chunks(task_id, range(3), "another process")
    broker = build_worker(settings)
    worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=50)
    worker.start()
    try:
        wait_for(lambda: completed(tenants[1], task_id), "the end of the job")
        wait_for(lambda: not service.overview.read().backlog, "empty queues")
        counts = connection.hgetall(keys.COUNTS)
        assert counts["jobs svg completed"] == "1"
        assert service.overview.read().dead == 0
    finally:
        worker.stop()
        broker.close()
