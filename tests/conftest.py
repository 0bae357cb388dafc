"""Fixtures of all tests: real servers, started once per test process, and clients of them."""

import functools
import os
import secrets
from collections.abc import Iterator

import botocore.session
import hypothesis
import pytest
import redis

from deploy.embedded import servers
from deploy.embedded.ports import free_port
from deploy.embedded.process import start_and_wait
from pipeline.ledger.connection import open_redis
from pipeline.ledger.ledger import Ledger
from pipeline.service import Service, Settings, open_service
from pipeline.storage.bucket import Bucket
from tests.environment_proxies import exempt_loopback
from tests.faults.proxy import FaultProxy
from tests.rabbitmq import ABSENT, RunningRabbitmq, running_rabbitmq
from tests.s3_servers import moto_server

# No deadline per example: machines stall, and tests run concurrently.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

# Every boto3 session parses the description of S3, which takes 0.25 s of CPU. It is cached here.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)

#: Start of the reason of skips that `--no-skips` tolerates: the machine does not permit the test.
NOT_PERMITTED = "not permitted here"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="a skipped test fails the run")


def pytest_configure() -> None:
    exempt_loopback(os.environ)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    skipped = [report for report in reports if NOT_PERMITTED not in str(report.longrepr)]
    if session.config.getoption("--no-skips") and skipped and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL, with the password, of a Valkey server shared by all tests of the process."""
    directory = tmp_path_factory.mktemp("valkey")
    server = servers.RedisServer(free_port(), secrets.token_hex(16))
    process = start_and_wait(servers.valkey(server, directory, os.environ), directory)
    yield server.url
    process.stop()


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRabbitmq]:
    """A RabbitMQ server shared by all tests of the process."""
    if ABSENT:
        pytest.skip(ABSENT)
    with running_rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as running:
        yield running


@pytest.fixture
def broker_url(rabbitmq: RunningRabbitmq) -> Iterator[str]:
    """URL, with the password, of a RabbitMQ server without queues."""
    rabbitmq.empty()
    yield rabbitmq.url
    rabbitmq.empty()


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3Server]:
    """The embedded stack's S3 server, without buckets."""
    directory = tmp_path_factory.mktemp("s3")
    server = servers.S3Server(free_port(), "testkey", secrets.token_hex(20))
    process = start_and_wait(servers.s3(server, directory / "objects", (), os.environ), directory)
    yield server
    process.stop()


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3Server]:
    """moto's S3 server, which also has IAM and STS, without buckets."""
    directory = tmp_path_factory.mktemp("moto")
    server = servers.S3Server(free_port(), "testkey", secrets.token_hex(20))
    process = start_and_wait(moto_server(server, directory, os.environ), directory)
    yield server
    process.stop()


@pytest.fixture(scope="session")
def s3(request: pytest.FixtureRequest) -> servers.S3Server:
    """An S3 server shared by all tests of the process: rclone, or the parameter of ``EVERY_S3``."""
    server: servers.S3Server = request.getfixturevalue(getattr(request, "param", "rclone"))
    return server


@pytest.fixture
def proxy(s3: servers.S3Server) -> Iterator[FaultProxy]:
    """A proxy in front of the S3 server, which can refuse, delay and record requests."""
    found = FaultProxy(s3.port)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def settings(redis_url: str, s3: servers.S3Server) -> Iterator[Settings]:
    """Settings with an empty Redis and two new buckets."""
    suffix = secrets.token_hex(6)
    found = Settings.from_environment(
        {
            "QRMILL_REDIS_URL": redis_url,
            "QRMILL_S3_ENDPOINT_URL": s3.endpoint_url,
            "QRMILL_S3_ACCESS_KEY_ID": s3.access_key_id,
            "QRMILL_S3_SECRET_ACCESS_KEY": s3.secret_access_key,
            "QRMILL_BUCKET": f"main-{suffix}",
            "QRMILL_STAGING_BUCKET": f"staging-{suffix}",
            "QRMILL_CHUNK_SIZE": "10",
            "QRMILL_RETRY_BACKOFF": "50",
            "QRMILL_LOG_FORMAT": "text",
        }
    )
    client = s3.client()
    for name in (found.bucket, found.staging_bucket):
        client.create_bucket(Bucket=name)
    with redis.Redis.from_url(redis_url) as connection:
        connection.flushall()
        yield found
        connection.flushall()


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    client = open_redis(settings.redis_url, timeout=5, decode=True)
    yield Ledger(client)
    client.close()


@pytest.fixture
def bucket(settings: Settings, s3: servers.S3Server) -> Bucket:
    return Bucket(s3.client(), settings.bucket)


@pytest.fixture
def staging_bucket(settings: Settings, s3: servers.S3Server) -> Bucket:
    return Bucket(s3.client(), settings.staging_bucket)


@pytest.fixture
def service(settings: Settings) -> Iterator[Service]:
    opened = open_service(settings)
    yield opened
    opened.jobs.stop_waiting()
