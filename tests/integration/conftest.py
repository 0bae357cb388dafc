"""The application over real servers, called in this process, and a worker to go with it."""

from collections.abc import Callable, Iterator

import dramatiq
import pytest
from falcon.testing import TestClient

from api.app import create_app
from pipeline.service import Service, Settings
from pipeline.worker import build_worker
from tests.lanes import key_in_lane

StartWorker = Callable[..., dramatiq.Worker]


@pytest.fixture
def token(service: Service) -> str:
    return key_in_lane(service.api_keys, 0, name="client", role="client").token


@pytest.fixture
def operator_token(service: Service) -> str:
    return service.api_keys.create(name="operator", role="operator").token


@pytest.fixture
def client(service: Service, settings: Settings, token: str) -> TestClient:
    return TestClient(create_app(service, settings), headers={"X-API-Key": token})


@pytest.fixture
def operator(service: Service, settings: Settings, operator_token: str) -> TestClient:
    return TestClient(create_app(service, settings), headers={"X-API-Key": operator_token})


@pytest.fixture
def start_worker(settings: Settings) -> Iterator[StartWorker]:
    """Start Dramatiq's own worker with the real actors, in threads of this process."""
    running: list[dramatiq.Worker] = []

    def start(queues: set[str] | None = None, settings: Settings = settings) -> dramatiq.Worker:
        worker = dramatiq.Worker(
            build_worker(settings), queues=queues, worker_threads=2, worker_timeout=50
        )
        worker.start()
        running.append(worker)
        return worker

    yield start
    for worker in running:
        worker.stop()
        worker.broker.close()


@pytest.fixture
def worker(start_worker: StartWorker) -> dramatiq.Worker:
    """A worker from the start of the test to its end."""
    return start_worker()
