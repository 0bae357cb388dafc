"""500 clients that wait in long polls, while 50 others send requests.

The API alone is measured: the workers are stopped, so that the polled jobs stay in flight. Both
loads, without and with the pollers, take turns on the same servers.
"""

import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from deploy.embedded.running import RunningStack, running_stack
from tests.benchmarks.parts import stopped

POLLERS, SENDERS = 500, 50
_ROUNDS = 2
_SECONDS = 12.0  # of a round
_PAUSE = 2.0  # seconds between two requests of a sender: below what the machine can do
_WAIT = {"Prefer": "wait=10"}
_BODY = {"gtin": "9506000134352", "items": [{"serial": str(number)} for number in range(20)]}
_LIMITS = httpx.Limits(max_connections=POLLERS + SENDERS, max_keepalive_connections=POLLERS)


def main() -> None:
    """Print POST's median and 99th percentile, idle and beside the pollers, and their ratio."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running_stack(Path(directory)) as stack,
        stopped(stack.ready, "worker-1"),
        stopped(stack.ready, "worker-2"),
    ):
        asyncio.run(_measure(stack))


async def _measure(stack: RunningStack) -> None:
    with stack.client("operator") as operator:
        body = {"name": "bench", "per_minute": 1_000_000, "per_day": 10_000_000}
        token = operator.post("/keys/", json=body).json()["api_key"]
    async with httpx.AsyncClient(
        base_url=stack.ready.api_url, headers={"X-API-Key": token}, timeout=60, limits=_LIMITS,
        trust_env=False,
    ) as client:  # fmt: skip
        polls = [(await client.post("/qr/bulk/", json=_BODY)).json()["poll_url"] for _ in range(50)]
        await _send(client, 3.0)
        idle: list[float] = []
        beside: list[float] = []
        answers: list[float] = []
        for _ in range(_ROUNDS):
            idle += await _send(client, _SECONDS)
            stop = asyncio.Event()
            urls = [polls[number % len(polls)] for number in range(POLLERS)]
            pollers = [asyncio.create_task(_poll(client, url, stop, answers)) for url in urls]
            await asyncio.sleep(3)
            beside += await _send(client, _SECONDS)
            stop.set()
            await asyncio.gather(*pollers)
        woken = await _wake(client, polls)
    _print(idle, beside, answers, woken)


async def _send(client: httpx.AsyncClient, seconds: float) -> list[float]:
    until = time.perf_counter() + seconds
    took: list[float] = []

    async def sender() -> None:
        while (begun := time.perf_counter()) < until:
            answer = await client.post("/qr/bulk/", json=_BODY)
            answer.raise_for_status()
            took.append(time.perf_counter() - begun)
            # Clients that send much do not send without a pause either.
            await asyncio.sleep(_PAUSE)

    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    return took


async def _poll(
    client: httpx.AsyncClient, url: str, stop: asyncio.Event, answers: list[float]
) -> None:
    while not stop.is_set():
        begun = time.perf_counter()
        answer = await client.get(url, headers=_WAIT)
        answers.append(time.perf_counter() - begun)
        if "preference-applied" not in answer.headers:
            await asyncio.sleep(float(answer.headers["retry-after"]))


async def _wake(client: httpx.AsyncClient, polls: list[str]) -> list[float]:
    """Return the seconds from a job's end, as its answer tells it, to the waiting poll's answer."""
    took = []
    for url in polls[:20]:
        waiting = asyncio.create_task(client.get(url, headers=_WAIT))
        await asyncio.sleep(0.2)
        cancel = asyncio.create_task(client.delete(url))
        answer = await waiting
        now = datetime.now(UTC)
        took.append((now - datetime.fromisoformat(answer.json()["finished_at"])).total_seconds())
        await cancel
    return took


def _print(
    idle: list[float], beside: list[float], answers: list[float], woken: list[float]
) -> None:
    for name, took in (("idle", idle), (f"beside {POLLERS} pollers", beside)):
        print(f"POST {name}: {len(took)} sent, {_figures(took)}")
    ratio = _percentile(beside, 99) / _percentile(idle, 99)
    print(f"ratio of the 99th percentiles: {ratio:.2f}")
    waited = sum(seconds > 9 for seconds in answers)  # of ten that were asked for
    print(f"polls: {len(answers)} answered, {waited} of them after waiting")
    print(f"from a job's end to the waiting poll's answer: {_figures(woken)}")


def _figures(took: list[float]) -> str:
    return f"p50 {_percentile(took, 50) * 1000:.1f} ms, p99 {_percentile(took, 99) * 1000:.1f} ms"


def _percentile(took: list[float], percent: int) -> float:
    return statistics.quantiles(took, n=100, method="inclusive")[percent - 1]
