"""What one job asks of S3 and of Redis: requests, commands and bytes, and dollars.

On a stack whose way to S3 leads through a proxy that counts. What the idle stack asks of Redis in
the same time (consumers, heartbeats, the sweep) is subtracted. That is much more than a small job
needs, so small jobs run many times, and the figures are those of one.
"""

import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, cast

import redis

from deploy.embedded.ports import remembered_ports
from tests.benchmarks.report import Report
from tests.benchmarks.scene import make_scene, request_body, run_job
from tests.faults.proxy import FaultProxy
from tests.faults.relay import Head
from tests.faults.rig import FaultStack
from tests.faults.up import S3_ADDRESS

_ITEMS = 5000
#: What is counted: items of the job, format, what the report calls it, and how many such jobs.
_CASES = (
    (_ITEMS, "svg", "svg", 2),
    (_ITEMS, "png", "png", 2),
    (500, "svg", "500 svg", 20),
    (100, "png", "100 png", 50),
    (1, "png", "1 png", 50),
)
_MOST_REQUESTS = 60
#: Dollars a request of AWS S3 Standard, us-east-1, list price in 2026: PUT, POST and LIST, then GET
#: and all others but DELETE, which costs nothing.
_WRITE, _READ = 0.005 / 1000, 0.0004 / 1000
_SETTLE = 1.5  # seconds after which the staging is gone too


class CountingProxy(FaultProxy):
    """Passes on, and counts requests and the bytes of their bodies."""

    def __init__(self, upstream_port: int) -> None:
        super().__init__(upstream_port)
        self.requests: Counter[str] = Counter()
        self.sent = self.received = 0

    async def _answer(
        self,
        head: Head,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> bool:
        # A list is a GET of the bucket with a query; S3 bills it as a write.
        self.requests["LIST" if "list-type" in head.target else head.method] += 1
        self.sent += head.length
        counted = cast("asyncio.StreamWriter", _Counted(self, client[1]))
        return await super()._answer(head, (client[0], counted), server)


class _Counted:
    """A writer that tells the proxy how much goes back."""

    def __init__(self, proxy: CountingProxy, writer: asyncio.StreamWriter) -> None:
        self._proxy, self._writer = proxy, writer

    def write(self, data: bytes) -> None:
        self._proxy.received += len(data)
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()


class Traffic(NamedTuple):
    """Redis commands, and bytes to and from it."""

    commands: float
    received: float
    sent: float

    def since(self, before: "Traffic") -> "Traffic":
        return Traffic(*(now - then for now, then in zip(self, before, strict=True)))

    def times(self, factor: float) -> "Traffic":
        return Traffic(*(factor * each for each in self))


def main(report: Report) -> None:
    """Count for jobs of SVG and of PNG."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "data").mkdir()
        proxy = CountingProxy(remembered_ports(directory / "data" / "ports.json").s3)
        proxy.start()
        stack = FaultStack(directory, {S3_ADDRESS: proxy.url})
        try:
            stack.wait_ready()
            scene = make_scene(stack)
            client = scene.connect()
            run_job(client, request_body(_ITEMS, "svg"))
            time.sleep(_SETTLE)
            with redis.Redis.from_url(scene.ready.redis_url) as valkey:
                for case in _CASES:
                    _count(report, proxy, valkey, case, lambda body: run_job(client, body))
        finally:
            stack.stop()
            proxy.stop()


def _count(
    report: Report,
    proxy: CountingProxy,
    valkey: redis.Redis,
    case: tuple[int, str, str, int],
    run: Any,  # noqa: ANN401
) -> None:
    items, image_format, _, jobs = case
    body = request_body(items, image_format)
    proxy.requests.clear()
    proxy.sent = proxy.received = 0
    idle, begun = _traffic(valkey), time.perf_counter()
    for _ in range(jobs):
        run(body)
    time.sleep(_SETTLE)
    busy, seconds = _traffic(valkey), time.perf_counter() - begun
    requests = {method: count / jobs for method, count in proxy.requests.items()}
    bytes_ = (proxy.sent / jobs, proxy.received / jobs)
    time.sleep(seconds)
    background = _traffic(valkey).since(busy)
    _tell(report, case, requests, bytes_, busy.since(idle).since(background).times(1 / jobs))
    report.figures["redis_idle_commands_a_second"] = background.commands / seconds


def _traffic(valkey: redis.Redis) -> Traffic:
    found: Any = valkey.info("stats")
    return Traffic(
        found["total_commands_processed"],
        found["total_net_input_bytes"],
        found["total_net_output_bytes"],
    )


def _tell(
    report: Report,
    case: tuple[int, str, str, int],
    requests: dict[str, float],
    bytes_: tuple[float, float],
    traffic: Traffic,
) -> None:
    (items, image_format, name, _), (sent, received) = case, bytes_
    total = sum(requests.values())
    writes = sum(requests.get(method, 0) for method in ("PUT", "POST", "LIST"))
    reads = total - writes - requests.get("DELETE", 0)
    dollars = (writes * _WRITE + reads * _READ) * 1_000_000 / items
    rows: list[tuple[str, float]] = [(f"S3 {method}", count) for method, count in requests.items()]
    rows += [("S3 requests", total), ("MB to S3", sent / 1e6)]
    rows += [("MB from S3", received / 1e6), ("Redis commands", traffic.commands)]
    rows += [("kB to Redis", traffic.received / 1e3), ("kB from Redis", traffic.sent / 1e3)]
    rows += [("S3 requests of a million symbols, $ at list price", dollars)]
    report.table(f"One job of {items} {image_format.upper()}", ("", image_format), rows)
    if items == _ITEMS:
        report.target(f"S3 requests, {image_format}", total, "", most=_MOST_REQUESTS)
    figures = report.figures.setdefault("requests", {})
    figures[name] = {
        "items": items,
        "s3": {method: round(count) for method, count in requests.items()},
        "s3_bytes_sent": sent,
        "s3_bytes_received": received,
        "redis": traffic._asdict() | {"commands": round(traffic.commands)},
        "dollars_a_million": dollars,
    }
