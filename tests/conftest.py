"""Real servers for every test that needs one, started once a run."""

import os
import secrets
from collections.abc import Iterator

import pytest

from deploy.embedded import servers
from deploy.embedded.ports import free_port
from deploy.embedded.process import start_and_wait


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address, with its password, of a Valkey that the whole run shares."""
    directory = tmp_path_factory.mktemp("valkey")
    server = servers.RedisServer(free_port(), secrets.token_hex(16))
    process = start_and_wait(servers.valkey(server, directory, os.environ), directory)
    yield server.url
    process.stop()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.S3Server]:
    """An S3 server without buckets that the whole run shares."""
    directory = tmp_path_factory.mktemp("s3")
    server = servers.S3Server(free_port(), "testkey", secrets.token_hex(20))
    process = start_and_wait(servers.s3(server, directory / "objects", (), os.environ), directory)
    yield server
    process.stop()
