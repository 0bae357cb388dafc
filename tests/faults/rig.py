"""The stack that faults are done to: its processes, its servers, and the proxy before S3."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Protocol

import httpx2
import msgspec
import pika
import psutil
import redis

from deploy.embedded.files import make_private_directory
from deploy.embedded.ports import LOOPBACK, remembered_ports
from deploy.embedded.process import dies_with_parent, wait_until
from deploy.embedded.ready import Ready
from deploy.embedded.running import RunningStack
from pipeline.ledger.connection import open_redis
from tests.faults import up
from tests.faults.proxy import FaultProxy
from tests.faults.queues import Messages, RabbitMessages, RedisMessages
from tests.rabbitmq import RabbitServer
from tests.sentinels import SentinelGroup, running_group

_REDIS_SECONDS = 5.0
#: The lot of an order's first item, as the request object has it.
_MARKER = re.compile(rb'"([a-z0-9-]+-[0-9]{4})"')


class Stack(Protocol):
    """What a rig has to know of the stack that runs.

    Attributes:
        data_dir: its data, with logs.
    """

    data_dir: Path

    @property
    def ready(self) -> Ready:
        """Where everything is, and which parts run."""

    def output(self) -> str:
        """Return what it has said so far."""


class FaultStack(RunningStack):
    """A running stack that was started through :mod:`tests.faults.up`."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.data_dir = directory / "data"
        self.ready_file = directory / "ready.json"
        self._output = make_private_directory(directory) / "up.log"
        command = [sys.executable, "-m", "tests.faults.up", "up", "--port", "0"]
        command += ["--data-dir", str(self.data_dir), "--ready-file", str(self.ready_file)]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=Path(__file__).parents[2],
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 - no threads of ours
            )


class Rig:
    """A running stack and what a fault needs of it.

    Attributes:
        rabbitmq: the broker, when that is not Redis.
    """

    def __init__(
        self,
        stack: Stack,
        proxy: FaultProxy | None,
        group: SentinelGroup | None = None,
        rabbitmq: RabbitServer | None = None,
    ) -> None:
        self.stack, self._proxy, self._group, self.rabbitmq = stack, proxy, group, rabbitmq
        ready = stack.ready
        self.url, self._redis_url = ready.api_url, ready.redis_url
        self.parts = sorted(ready.parts)
        self._operator_key = ready.operator_key
        self.random = random.Random(29)

    @property
    def proxy(self) -> FaultProxy:
        """The proxy before S3, of a stack that has one."""
        assert self._proxy is not None, "this fault needs the proxy"
        return self._proxy

    def harm(self) -> dict[str, int]:
        """Return how often the proxy did what."""
        return dict(self._proxy.done) if self._proxy else {}

    def new_key(self) -> str:
        """Return a client's API key that may send and poll as often as the harness does."""
        body = {"name": "faults", "per_minute": 1_000_000, "per_day": 10_000_000}
        answer = httpx2.post(
            f"{self.url}/keys/",
            json=body,
            headers={"X-API-Key": self._operator_key},
            timeout=30,
            trust_env=False,
        )
        return str(answer.raise_for_status().json()["api_key"])

    def redis(self) -> redis.Redis:
        """Return a client of the stack's Redis that fails rather than wait for long."""
        return open_redis(self._redis_url, timeout=_REDIS_SECONDS)

    @property
    def group(self) -> SentinelGroup:
        """The servers behind the Sentinels, of a stack whose Redis they are."""
        assert self._group is not None, "this fault needs Sentinels"
        return self._group

    @contextmanager
    def messages(self) -> Iterator[Messages]:
        """Give what changes the broker's queues by hand."""
        if self.rabbitmq is not None:
            with pika.BlockingConnection(pika.URLParameters(self.rabbitmq.url)) as connection:
                yield RabbitMessages(connection.channel())
        else:
            with self.redis() as client:
                yield RedisMessages(client)

    def pid(self, part: str) -> int | None:
        """Return the process id of a part's main process; None while it is started again."""
        with suppress(FileNotFoundError):
            return self.stack.ready.parts.get(part)
        return None

    def children(self, part: str) -> list[int]:
        """Return the process ids below a part's main process."""
        pid = self.pid(part)
        if pid is None:
            return []
        try:
            return [child.pid for child in psutil.Process(pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def workers(self) -> list[str]:
        return [part for part in self.parts if part.startswith("worker")]

    def worker_processes(self) -> list[int]:
        """Return the process ids of all worker processes: masters and what they have forked."""
        masters = [pid for part in self.workers() if (pid := self.pid(part)) is not None]
        return masters + [pid for part in self.workers() for pid in self.children(part)]

    def kill_part(self, part: str) -> None:
        """Kill a part with what is below it, and wait until its main process is another one."""
        before = wait_for_pid(self, part)
        for pid in (before, *self.children(part)):
            send(pid, signal.SIGKILL)
        wait_until(lambda: self.pid(part) not in {None, before}, 60)

    def wait_back(self, seconds: float = 60) -> bool:
        """Wait until every part runs and the API says that it is ready."""
        return wait_until(self._all_back, seconds, 0.1)

    def _all_back(self) -> bool:
        if any(self.pid(part) is None for part in self.parts):
            return False
        try:
            return httpx2.get(f"{self.url}/readyz", timeout=5, trust_env=False).is_success
        except httpx2.TransportError:
            return False

    def memory(self) -> dict[str, int]:
        """Return the resident megabytes of each part, with what is below it."""
        return {part: sum(sizes) for part, sizes in self.process_memory().items()}

    def process_memory(self) -> dict[str, list[int]]:
        """Return the resident megabytes of each process of a part, in the order of their ids."""
        return {
            part: [
                _resident(pid) // 1_000_000
                for pid in sorted(filter(None, (self.pid(part), *self.children(part))))
            ]
            for part in self.parts
        }

    def log_lines(self, text: str, count: int = 6) -> list[str]:
        """Return the last lines of all parts' logs that have ``text``, but those of polls."""
        lines = []
        for log in sorted((self.stack.data_dir / "logs").glob("*.log*")):
            whole = log.read_text("utf-8", "replace").splitlines()
            told = [line for line in whole if text in line and '"event": "request"' not in line]
            lines += [f"{log.stem}: {line}" for line in told]
        return sorted(lines, key=_timestamp)[-count:]

    def accepted_requests(self) -> dict[str, list[str]]:
        """Return the task ids of the request objects in S3, by the marker of their order."""
        found: dict[str, list[str]] = {}
        for path in (self.stack.data_dir / "s3" / "qrmill" / "jobs").glob("*/request.json"):
            with suppress(FileNotFoundError):  # what is removed meanwhile was not accepted
                marker = _MARKER.search(path.read_bytes())
                if marker is not None:
                    found.setdefault(marker[1].decode(), []).append(path.parent.name)
        return found


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended just now."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def wait_for_pid(rig: Rig, part: str) -> int:
    """Return the process id of a part's main process, once there is one."""
    wait_until(lambda: rig.pid(part) is not None, 30)
    pid = rig.pid(part)
    assert pid is not None, f"{part} has not come back: {rig.stack.output()[-2000:]}"
    return pid


def _resident(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _timestamp(line: str) -> str:
    with suppress(ValueError, TypeError):
        fields: Any = json.loads(line.partition(": ")[2])
        return str(fields.get("timestamp", ""))
    return ""


@contextmanager
def running_rig(
    directory: Path,
    settings: Mapping[str, str],
    first_worker: Mapping[str, str],
    *,
    sentinels: bool = False,
    proxied: bool = True,
    rabbitmq: RabbitServer | None = None,
) -> Iterator[Rig]:
    """Run a stack.

    Args:
        directory: of everything that it writes.
        settings: of the service.
        first_worker: what the first worker's environment has besides.
        sentinels: whether its Redis is a group that Sentinels watch.
        proxied: whether the service reaches S3 through the proxy.
        rabbitmq: the broker to be started, when that is not Redis.
    """
    with running_group(directory / "redis") if sentinels else nullcontext() as group:
        more = {up.FIRST_WORKER: json.dumps(dict(first_worker))}
        if group is not None:
            more[up.REDIS_URL] = group.url()
        if rabbitmq is not None:
            more[up.RABBITMQ] = msgspec.json.encode(rabbitmq).decode()
        yield from _running(directory, {**settings, **more}, group, rabbitmq, proxied=proxied)


def _running(
    directory: Path,
    environ: Mapping[str, str],
    group: SentinelGroup | None,
    rabbitmq: RabbitServer | None,
    *,
    proxied: bool,
) -> Iterator[Rig]:
    ports = remembered_ports(make_private_directory(directory / "data") / "ports.json")
    proxy = FaultProxy(ports.s3)
    address = proxy.url if proxied else f"http://{LOOPBACK}:{ports.s3}"
    stack = FaultStack(directory, {**environ, up.S3_ADDRESS: address})
    try:
        proxy.start()
        stack.wait_ready()
        yield Rig(stack, proxy if proxied else None, group, rabbitmq)
    finally:
        stack.stop()
        proxy.stop()
