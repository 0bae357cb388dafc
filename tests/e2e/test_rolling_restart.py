"""Restarts one after another, under load: no request fails, no job is lost."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import httpx2
import psutil
import pytest

from deploy.embedded.running import RunningStack, running_stack
from tests.e2e.test_base_contract import follow
from tests.waiting import wait_for

BODY = {"gtin": "9506000134352", "items": [{"serial": f"{index:04}"} for index in range(600)]}


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[RunningStack]:
    with running_stack(tmp_path) as running:
        yield running


class Load:
    """Clients that send requests, each on a connection of its own, until they are stopped."""

    def __init__(self, stack: RunningStack, token: str) -> None:
        self.answers: list[httpx2.Response] = []
        self.errors: list[httpx2.HTTPError] = []
        self._url, self._headers = stack.ready.api_url, {"X-API-Key": token}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(3)]

    def _send(self) -> None:
        while not self._stop.wait(0.05):
            try:
                answer = httpx2.post(
                    f"{self._url}/qr/bulk/",
                    json=BODY,
                    headers=self._headers,
                    timeout=30,
                    trust_env=False,
                )
                self.answers.append(answer)
            except httpx2.HTTPError as error:
                self.errors.append(error)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.long
def test_no_request_fails_and_no_job_is_lost(stack: RunningStack) -> None:
    with stack.client("operator") as operator:
        body = {"name": "load", "per_minute": 10**6, "per_day": 10**6}
        token = operator.post("/keys/", json=body).json()["api_key"]
    with Load(stack, token) as load:
        for _ in range(2):
            reload_api(stack, load)
        for name in ("worker-1", "worker-2"):
            restart(stack, name)
    assert load.errors == []
    assert {answer.status_code for answer in load.answers} == {202}
    assert len(load.answers) > 20
    headers = {"X-API-Key": token}
    with httpx2.Client(base_url=stack.ready.api_url, headers=headers, trust_env=False) as client:
        for answer in load.answers:
            assert follow(client, answer.json()["poll_url"])["status"] == "completed"


def reload_api(stack: RunningStack, load: Load) -> None:
    """Have gunicorn replace its processes, and wait until requests went to new ones."""
    master = psutil.Process(stack.ready.parts["api"])
    before = {child.pid for child in master.children()}
    os.kill(master.pid, signal.SIGHUP)
    wait_for(
        lambda: len(now := {child.pid for child in master.children()}) == 2 and not now & before,
        "new processes",
        pause=0.1,
    )
    sent = len(load.answers)
    wait_for(lambda: len(load.answers) >= sent + 5 or load.errors, "more answers")


def restart(stack: RunningStack, name: str) -> None:
    """Ask a worker to end, and wait until the supervisor has started it again."""
    before = stack.ready.parts[name]
    os.kill(before, signal.SIGTERM)
    wait_for(lambda: stack.ready.parts.get(name, before) != before, f"a new {name}", pause=0.1)
