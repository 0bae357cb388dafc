"""The API's metrics under gunicorn with two processes, of which one is killed."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx2
import msgspec
import psutil
import pytest

from deploy.embedded import service_parts
from deploy.embedded.ports import free_port
from deploy.embedded.process import start_and_wait
from pipeline.settings import Settings, variable
from tests.waiting import wait_for


class Api:
    """A running gunicorn."""

    def __init__(self, url: str, metrics_url: str, process_id: int, directory: Path) -> None:
        self.url, self.metrics_url, self.directory = url, metrics_url, directory
        self._master = psutil.Process(process_id)

    def processes(self) -> list[psutil.Process]:
        return self._master.children()

    def send(self, count: int) -> None:
        for _ in range(count):
            # A connection each, so that any process may answer.
            assert httpx2.get(f"{self.url}/healthz", trust_env=False).status_code == 200

    def scrape(self) -> str:
        return httpx2.get(self.metrics_url, trust_env=False).text

    def answered(self) -> int:
        pattern = r'qrmill_http_requests_total\{.*route="/healthz".*\} (\S+)'
        return sum(int(float(count)) for count in re.findall(pattern, self.scrape()))


@pytest.fixture
def api(settings: Settings, tmp_path: Path) -> Iterator[Api]:
    environ = {
        variable(name): str(value)
        for name, value in msgspec.structs.asdict(settings).items()
        if value is not None
    }
    port, metrics_port = free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    part = service_parts.api(port, url, tmp_path, environ)
    part = service_parts.with_metrics(part, metrics_port, tmp_path)
    process = start_and_wait(part, tmp_path)
    folder = tmp_path / "metrics" / "api"
    yield Api(url, f"http://127.0.0.1:{metrics_port}/metrics", process.pid, folder)
    process.stop()


def test_counters_add_up_over_processes_and_never_fall_when_one_is_killed(api: Api) -> None:
    wait_for(lambda: len(api.processes()) == 2, "two processes")
    sent = 0

    def both_have_counted() -> bool:
        nonlocal sent
        api.send(10)
        sent += 10
        return len([*api.directory.glob("counter_*.db")]) == 2

    wait_for(both_have_counted, "requests to both processes")
    # Any process answers for both; ask until both have been asked.
    assert {api.answered() for _ in range(10)} == {sent}
    killed = api.processes()[0]
    killed.send_signal(signal.SIGKILL)
    wait_for(lambda: killed not in api.processes(), "its end")
    assert api.answered() == sent
    wait_for(lambda: len(api.processes()) == 2, "another process")
    api.send(10)
    assert api.answered() == sent + 10


def test_metrics_are_apart_from_the_api(api: Api) -> None:
    assert httpx2.get(f"{api.url}/metrics", trust_env=False).status_code == 401
    told = api.scrape()
    assert "qrmill_workers 0.0" in told
    assert 'qrmill_queue_messages{queue="render",state="waiting"} 0.0' in told
