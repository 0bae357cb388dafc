"""Two gunicorn processes and two worker processes act as one service."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psutil
import pytest

from deploy.embedded.running import RunningStack
from tests.e2e.test_base_contract import follow, submit


def test_one_rate_is_kept_across_processes(stack: RunningStack) -> None:
    with stack.client("operator") as operator:
        made = operator.post("/keys/", json={"name": "few", "per_minute": 25}).json()

    def ask(_: int) -> httpx2.Response:
        # A connection of its own each time, so that every process gets some of them.
        headers = {"X-API-Key": made["api_key"]}
        return httpx2.get(f"{stack.ready.api_url}/nothing", headers=headers, trust_env=False)

    with ThreadPoolExecutor(8) as pool:
        answers = [*pool.map(ask, range(60))]
    codes = [answer.status_code for answer in answers]
    assert (codes.count(404), codes.count(429)) == (25, 35)
    left = [int(answer.headers["RateLimit-Remaining"]) for answer in answers]
    assert min(left) == 0
    assert max(left) == 24


def test_the_api_runs_in_two_processes_and_both_workers_render(
    stack: RunningStack, client: httpx2.Client
) -> None:
    api = psutil.Process(stack.ready.parts["api"])
    assert len(api.children()) == 2
    items = [{"serial": f"{index:05}"} for index in range(5000)]
    status = follow(client, submit(client, items=items, format="svg")["poll_url"])
    assert (status["status"], status["items"]) == ("completed", 5000)
    staged = [
        _staged_chunks(stack.data_dir / "logs" / name, status["task_id"])
        for name in ("worker-1.log", "worker-2.log")
    ]
    assert all(staged)
    assert sorted(staged[0] + staged[1]) == [*range(10)]


def _staged_chunks(log: Path, task_id: str) -> list[int]:
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    return [
        line["chunk"]
        for line in lines
        if line["event"] == "chunk staged" and line["task_id"] == task_id
    ]


@pytest.mark.long
def test_a_small_job_does_not_wait_behind_large_ones(client: httpx2.Client) -> None:
    items = [{"serial": f"{index:05}"} for index in range(5000)]
    large = [submit(client, items=items, size=2000)["poll_url"] for _ in range(4)]
    small = submit(client, items=[{"serial": "1"}])["poll_url"]
    assert follow(client, small)["status"] == "completed"
    assert client.get(large[-1]).json()["status"] in {"pending", "running"}
    assert [follow(client, poll_url)["status"] for poll_url in large] == ["completed"] * 4
