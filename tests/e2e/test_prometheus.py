"""A real Prometheus that scrapes the real stack under load: every query of ours finds data."""

import itertools
import json
import math
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from deploy.embedded.demo_job import make_request
from deploy.embedded.ports import free_port
from deploy.embedded.process import Part, start_and_wait
from deploy.embedded.running import RunningStack
from tests.waiting import wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana" / "qrmill.json").read_text("utf-8"))
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="no prometheus; `make debian-packages` installs it"
)


@pytest.fixture(scope="module")
def prometheus(
    stack: RunningStack, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx2.Client]:
    """A Prometheus over the shared stack, with our rules."""
    directory = tmp_path_factory.mktemp("prometheus")
    configuration = directory / "prometheus.yaml"
    configuration.write_text(json.dumps(configure(stack)), encoding="utf-8")  # JSON is YAML
    url = f"http://127.0.0.1:{free_port()}"
    command = (
        *("prometheus", f"--config.file={configuration}", "--log.level=warn"),
        *(f"--storage.tsdb.path={directory / 'data'}", f"--web.listen-address={url[7:]}"),
    )

    def answers() -> bool:
        try:
            return httpx2.get(f"{url}/-/ready", trust_env=False).is_success
        except httpx2.TransportError:
            return False

    part = Part("prometheus", command, directory, os.environ, lambda: answers)
    process = start_and_wait(part, directory)
    with httpx2.Client(base_url=url, trust_env=False, timeout=30) as client:
        yield client
    process.stop()


def configure(stack: RunningStack) -> dict[str, Any]:
    """The configuration of deploy/, with the stack's addresses and a scrape a second."""
    jobs: dict[str, list[str]] = {}
    for part, url in stack.ready.metrics_urls.items():
        jobs.setdefault(f"qrmill-{part.partition('-')[0]}", []).append(
            httpx2.URL(url).netloc.decode()
        )
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(DEPLOY / "prometheus" / "rules.yaml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": targets}]}
            for job, targets in jobs.items()
        ],
    }


def has_data(prometheus: httpx2.Client, query: str) -> bool:
    """Whether a query finds a number within the last 20 seconds."""
    now = time.time()
    parameters: dict[str, str | float] = {
        "query": query.replace("$__rate_interval", "10s"),
        "start": now - 20,
        "end": now,
        "step": 1,
    }
    answer = prometheus.get("/api/v1/query_range", params=parameters).json()
    assert answer["status"] == "success", (query, answer)
    numbers = [float(value) for row in answer["data"]["result"] for _, value in row["values"]]
    return any(math.isfinite(number) for number in numbers)


def test_every_query_of_the_dashboard_finds_data_under_load(
    prometheus: httpx2.Client, client: httpx2.Client
) -> None:
    sizes = itertools.cycle((1, 600))  # jobs of one chunk and of several
    missing = list(QUERIES)

    def all_found() -> bool:
        accepted = client.post("/qr/bulk/", json=make_request(next(sizes)))
        client.get(accepted.json()["poll_url"], headers={"Prefer": "wait=5"})
        missing[:] = [query for query in missing if not has_data(prometheus, query)]
        return not missing

    assert len(QUERIES) > 30
    try:
        wait_for(all_found, "data for every query", seconds=90)
    except AssertionError:
        pytest.fail(f"no data for {missing}")


def test_every_rule_is_evaluated_and_none_fires_over_a_healthy_stack(
    prometheus: httpx2.Client,
) -> None:
    def healthy_rules() -> list[dict[str, Any]]:
        (group,) = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        healthy = all(rule["health"] == "ok" for rule in group["rules"])
        return list(group["rules"]) if healthy else []

    found = wait_for(healthy_rules, "an evaluation of every rule")
    assert [rule["name"] for rule in found if rule["state"] == "firing"] == []
