"""The application over real servers, called in this process, and a worker to go with it."""

from collections.abc import Callable, Iterator

import dramatiq
import pytest
from falcon.testing import Result, TestClient

from api.app import create_app
from pipeline.service import JobService, Settings
from pipeline.worker import build_worker

Post = Callable[..., Result]


@pytest.fixture
def token(service: JobService) -> str:
    return service.api_keys.create(name="client", role="client").token


@pytest.fixture
def operator_token(service: JobService) -> str:
    return service.api_keys.create(name="operator", role="operator").token


@pytest.fixture
def client(service: JobService, settings: Settings, token: str) -> TestClient:
    return TestClient(create_app(service, settings), headers={"X-API-Key": token})


@pytest.fixture
def operator(service: JobService, settings: Settings, operator_token: str) -> TestClient:
    return TestClient(create_app(service, settings), headers={"X-API-Key": operator_token})


@pytest.fixture
def worker(settings: Settings) -> Iterator[dramatiq.Worker]:
    """Dramatiq's own worker with the real actors, in threads of this process."""
    broker = build_worker(settings)
    running = dramatiq.Worker(broker, worker_threads=2, worker_timeout=50)
    running.start()
    yield running
    running.stop()
    broker.close()
