"""What the benchmarks of the service share: a running stack, a key without rates, requests."""

import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from deploy.embedded.ready import Ready
from deploy.embedded.running import RunningStack, running_stack
from pipeline.service import Settings
from tests.benchmarks.connection import Connection

BULK = "/qr/bulk/"
WAITING = "Prefer: wait=30\r\n"


class Scene(NamedTuple):
    """A running stack.

    Attributes:
        ready: where its parts are.
        key: an API key whose rates nothing here reaches.
        settings: of its service, to look into the ledger.
    """

    ready: Ready
    key: str
    settings: Settings

    def connect(self) -> Connection:
        return Connection(self.ready.api_url, self.key)


class Ended(NamedTuple):
    """A job's way as its client saw it: times in seconds since the epoch, and the last answer."""

    sent: float
    accepted: float
    ended: float
    answer: dict[str, Any]

    @property
    def seconds(self) -> float:
        return self.ended - self.sent


@contextmanager
def running_scene(directory: Path, **settings: str) -> Iterator[Scene]:
    """Run a stack with ``settings`` beside those of the environment."""
    # The limits are far from what is sent here; they are not what is measured.
    environment = {"QRMILL_LOG_LEVEL": "info", **settings}
    before = dict(os.environ)
    os.environ.update(environment)
    try:
        with running_stack(directory) as stack:
            yield make_scene(stack)
    finally:
        os.environ.clear()
        os.environ.update(before)


def make_scene(stack: RunningStack) -> Scene:
    """Return the scene of a stack that answers."""
    ready = stack.ready
    key = make_key(ready)
    environment = {
        "QRMILL_REDIS_URL": ready.redis_url,
        "QRMILL_S3_ENDPOINT_URL": ready.s3_endpoint_url,
        "QRMILL_S3_ACCESS_KEY_ID": ready.s3_access_key_id,
        "QRMILL_S3_SECRET_ACCESS_KEY_FILE": ready.s3_secret_file,
    }
    return Scene(ready, key, Settings.from_environment(environment))


def make_key(ready: Ready) -> str:
    """Return a new API key whose rates nothing here reaches."""
    body = b'{"name": "bench", "per_minute": 1000000, "per_day": 10000000}'
    operator = Connection(ready.api_url, ready.operator_key)
    answer = operator.request("POST", "/keys/", body, "Content-Type: application/json\r\n")
    assert answer.status == 201, answer
    return str(answer.json()["api_key"])


def request_body(items: int, image_format: str, size: int = 400) -> bytes:
    """Return a request as clients send them: a lot, serial numbers that differ, an expiry."""
    found = [
        {"lot": "LOT-7", "serial": f"SER{number:08}", "expiry": "271231"} for number in range(items)
    ]
    request = {"gtin": "9506000134352", "format": image_format, "size": size, "items": found}
    return json.dumps(request).encode()


def run_job(client: Connection, body: bytes) -> Ended:
    """Send a request and wait in long polls for its end."""
    sent = time.time()
    task = client.post(BULK, body)
    accepted = time.time()
    while True:
        answer = client.get(task["poll_url"], WAITING)
        if answer["status"] in {"completed", "failed"}:
            break
    ended = time.time()
    assert answer["status"] == "completed", answer
    return Ended(sent, accepted, ended, answer)


def percentile(samples: Sequence[float], percent: int) -> float:
    """Return a percentile, of the samples themselves when they are few."""
    if len(samples) == 1:
        return samples[0]
    return statistics.quantiles(samples, n=100, method="inclusive")[percent - 1]
