"""Huge bodies over HTTP, several at once: small responses, and little memory in each process."""

import gzip
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psutil

from deploy.embedded.running import RunningStack
from tests.e2e.test_base_contract import submit
from tests.huge_bodies import CSV, HUGE_BODIES

GTIN = "9506000134352"
AT_ONCE = 4
#: Bytes by which the peak of a process may grow while it has that many bodies of 5 MB: four times
#: each, and once more for what the allocator does not return.
MOST_GROWTH = AT_ONCE * 5 * 5_000_000


def peaks(stack: RunningStack) -> list[int]:
    """Peak of the resident memory of each API process, in bytes."""
    processes = psutil.Process(stack.ready.parts["api"]).children()
    statuses = [Path(f"/proc/{each.pid}/status").read_text() for each in processes]
    return [1024 * int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) for status in statuses]


def test_huge_bodies_at_once_cost_little_memory_and_small_responses(
    stack: RunningStack, client: httpx2.Client
) -> None:
    def send(name: str) -> httpx2.Response:
        media_type, make = HUGE_BODIES[name]
        headers = {"Content-Type": media_type, "Content-Encoding": "gzip"}
        params = {"gtin": GTIN} if media_type == CSV else {}
        sent = gzip.compress(make(), 1)
        return client.post("/qr/bulk/", params=params, headers=headers, content=sent)

    submit(client, items=[{"serial": f"{number:020}"} for number in range(5000)])
    before = peaks(stack)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = [*pool.map(send, [*HUGE_BODIES] * 2)]
    assert {answer.status_code for answer in answers} == {400, 422}
    assert max(len(answer.content) for answer in answers) < 64 * 1024
    growth = [after - first for first, after in zip(before, peaks(stack), strict=True)]
    assert max(growth) < MOST_GROWTH, growth
