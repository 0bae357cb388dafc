"""``python -m tests.faults.up``: ``qrmill up``, but that the service's way to S3 is the proxy's.

What differs is put in place from outside, so the product has no option for it: the S3 address, that
of Redis when Sentinels watch it (the stack's own Valkey then has nothing to do), RabbitMQ as the
broker, one worker's additional environment, and how often a part may die (the harness kills more
often than the embedded stack puts up with).
"""

import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import msgspec

from deploy.embedded import restarts, service_parts, stack
from deploy.embedded.__main__ import app
from deploy.embedded.process import Part
from deploy.embedded.servers import RedisServer, S3Server
from tests.rabbitmq import RabbitServer, epmd, rabbitmq

#: Variables that the harness sets for this process; the last two when they are wanted.
S3_ADDRESS, FIRST_WORKER = "FAULTS_S3_ADDRESS", "FAULTS_FIRST_WORKER"
REDIS_URL, RABBITMQ = "FAULTS_REDIS_URL", "FAULTS_RABBITMQ"
_LONGEST_DELAY = 1.0  # seconds before a part that died is started again

_service_environment, _worker = service_parts.service_environment, service_parts.worker


def _with_proxy(environ: Mapping[str, str], s3_server: S3Server, secrets: Path) -> dict[str, str]:
    found = _service_environment(environ, s3_server, secrets)
    # Clients download from the server itself: what they get is not to be harmed on its way.
    return found | {
        "QRMILL_S3_ENDPOINT_URL": os.environ[S3_ADDRESS],
        "QRMILL_S3_PUBLIC_ENDPOINT_URL": s3_server.endpoint_url,
    }


def _with_environment(
    number: int, directory: Path, environ: Mapping[str, str], redis_server: RedisServer
) -> Part:
    part = _worker(number, directory, environ, redis_server)
    if number != 1:
        return part
    more = json.loads(os.environ.get(FIRST_WORKER, "{}"))
    return dataclasses.replace(part, environment={**part.environment, **more})


@contextmanager
def _with_rabbitmq() -> Iterator[None]:
    """Add RabbitMQ and its port mapper to the servers that are started first."""
    if RABBITMQ not in os.environ:
        yield
        return
    server = msgspec.json.decode(os.environ[RABBITMQ], type=RabbitServer)
    stages = stack._Stack._stages

    def with_server(of: stack._Stack) -> list[list[Part]]:
        servers, *others = stages(of)
        directory = of._data_dir / "rabbitmq"
        own = rabbitmq(server, directory, os.environ)
        return [[epmd(server, directory)], [*servers, own], *others]

    with (
        patch.object(stack._Stack, "_stages", with_server),
        patch.dict(os.environ, {"QRMILL_BROKER_URL": server.url}),
    ):
        yield


def main() -> None:
    redis_url = os.environ.get(REDIS_URL)
    elsewhere = property(lambda _: redis_url)
    with (
        _with_rabbitmq(),
        patch.object(RedisServer, "url", elsewhere) if redis_url else nullcontext(),
        patch.object(restarts, "LIMIT", 1_000_000),
        patch.object(restarts, "_LONGEST_DELAY", _LONGEST_DELAY),
        patch.object(service_parts, "service_environment", _with_proxy),
        patch.object(service_parts, "worker", _with_environment),
    ):
        app(prog_name="qrmill")


if __name__ == "__main__":
    main()
