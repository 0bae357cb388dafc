"""A request's id is followed through the logs of every part."""

import json

import httpx2

from deploy.embedded.demo_job import make_request
from deploy.embedded.running import RunningStack
from tests.waiting import wait_for


def test_a_request_id_leads_to_every_line_of_its_job(
    stack: RunningStack, client: httpx2.Client
) -> None:
    sent = {"X-Request-ID": "label-run-4711"}
    accepted = client.post("/qr/bulk/", json=make_request(600), headers=sent).json()

    def lines() -> list[dict[str, object]]:
        logs = (stack.data_dir / "logs").glob("*.log")
        told = [line for log in logs for line in log.read_text("utf-8").splitlines()]
        return [json.loads(line) for line in told if "label-run-4711" in line]

    def whole() -> list[dict[str, object]]:
        found = lines()
        return found if any(line["event"] == "bundle completed" for line in found) else []

    found = wait_for(whole, "the bundle's line")
    events = [line["event"] for line in found]
    for event in ("request", "job accepted", "chunk staged", "bundle completed"):
        assert event in events
    ours = [line for line in found if line["event"] != "request"]
    assert {line["task_id"] for line in ours} == {accepted["task_id"]}
    staged = [line for line in found if line["event"] == "chunk staged"]
    assert sorted((line["chunk"], line["key"]) for line in staged) == [(0, "tests"), (1, "tests")]
