"""Twelve tenants whose receivers hang, and one whose receiver responds, on real sockets."""

from collections.abc import Callable, Iterator
from functools import partial

import dramatiq
import msgspec
import pytest
from falcon.testing import TestClient

from api.app import create_app
from pipeline.broker.names import WEBHOOK_QUEUE
from pipeline.maintenance.sweep import Sweep, open_sweep
from pipeline.service import Service, Settings
from pipeline.worker import build_worker
from tests.integration.test_webhooks import JOB_QUEUES, callback, ended, submit
from tests.receiver import receiving
from tests.waiting import wait_for

_TENANTS = 12
Start = Callable[[int, set[str] | None], None]
MakeTenant = Callable[[str], TestClient]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return msgspec.structs.replace(settings, callback_http=True, callback_networks="127.0.0.0/8")


@pytest.fixture
def sweep(settings: Settings) -> Sweep:
    return open_sweep(settings)


@pytest.fixture
def start(settings: Settings) -> Iterator[Start]:
    """Start a worker with some threads, for some queues or all."""
    running: list[dramatiq.Worker] = []

    def run(threads: int, queues: set[str] | None) -> None:
        broker = build_worker(settings)
        worker = dramatiq.Worker(broker, queues=queues, worker_threads=threads, worker_timeout=50)
        worker.queue_prefetch = max(1, threads - 2)
        worker.start()
        running.append(worker)

    yield run
    for worker in running:
        worker.stop()
        worker.broker.close()


@pytest.fixture
def tenant(service: Service, settings: Settings) -> MakeTenant:
    """Create a tenant with a webhook secret, and return its client."""

    def make(name: str) -> TestClient:
        token = service.api_keys.create(name=name, role="client", per_minute=100_000).token
        client = TestClient(create_app(service, settings), headers={"X-API-Key": token})
        assert client.simulate_post("/keys/self/webhook-secret/").status_code == 201
        return client

    return make


@pytest.fixture
def hanging_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Failed attempts are repeated at once, and receivers may take a minute."""
    monkeypatch.setattr("pipeline.webhooks.schedule.SCHEDULE", (0,) * 9)
    monkeypatch.setattr("pipeline.webhooks.http._RESPONSE_SECONDS", 60)


@pytest.mark.usefixtures("hanging_retries")
@pytest.mark.parametrize(
    "case", [(4, None, 1), (8, {WEBHOOK_QUEUE}, 4)], ids=["all queues", "webhooks alone"]
)
def test_receivers_that_hang_take_half_of_what_sends(
    tenant: MakeTenant, sweep: Sweep, start: Start, case: tuple[int, set[str] | None, int]
) -> None:
    threads, queues, hanging = case
    slow, good = [tenant(f"slow {number}") for number in range(_TENANTS)], tenant("good")
    with receiving(*[500] * _TENANTS) as receiver, receiving() as other:
        start(2, JOB_QUEUES)
        for each in slow:
            submit_and_wait(each, receiver.url)
        start(threads, queues)
        wait_for(lambda: len(receiver.received) == _TENANTS, "the first attempts, which fail")
        receiver.hold.clear()  # the sweep sends the messages of the second attempts
        most = _TENANTS + hanging
        wait_for(lambda: sweep.once() and len(receiver.received) == most, "hanging attempts")
        for _ in range(5):
            task_id = submit_and_wait(good, other.url)
            wait_for(partial(delivered, sweep, good, task_id), "a webhook beside them", pause=0.1)
        assert len(receiver.received) == most
        receiver.hold.set()


def submit_and_wait(client: TestClient, url: str) -> str:
    """Submit a job, and return its id when it has ended."""
    task_id = submit(client, url)
    wait_for(partial(ended, client, task_id), "the end of a job")
    return task_id


def delivered(sweep: Sweep, client: TestClient, task_id: str) -> bool:
    sweep.once()
    return bool(callback(client, task_id)["state"] == "delivered")


def test_a_one_item_job_does_not_wait_for_receivers(tenant: MakeTenant, start: Start) -> None:
    slow, good = [tenant(f"slow {number}") for number in range(_TENANTS)], tenant("good")
    with receiving() as receiver, receiving() as other:
        receiver.hold.clear()
        start(4, None)
        for each in slow:
            submit(each, receiver.url)
        wait_for(lambda: len(receiver.received) >= 2, "receivers that hang")
        submit_and_wait(good, other.url)
        assert len(receiver.received) == 2
        receiver.hold.set()
