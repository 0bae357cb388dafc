"""The service on several hosts: each of its parts started on its own by the role's command."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from deploy.embedded import servers, service_parts
from deploy.embedded.credentials import (
    api_tokens,
    s3_secret_file,
    server_credentials,
    write_secret_files,
)
from deploy.embedded.files import make_private_directory
from deploy.embedded.process import Part, PartProcess, start_and_wait, stop_all
from deploy.embedded.ready import Ready
from pipeline.service import Settings, open_service
from tests.faults.rig import Rig
from tests.hosts.network import API, REDIS, S3, WORKERS, Network

API_PORT, REDIS_PORT, S3_PORT = 8080, 6379, 9000
_QRMILL = str(Path(sys.executable).with_name("qrmill"))


class HostsStack:
    """The parts, each on its host, as a rig knows a stack.

    Args:
        network: the hosts.
        directory: of everything that is written.
        settings: of the service.
    """

    def __init__(self, network: Network, directory: Path, settings: Mapping[str, str]) -> None:
        self.data_dir = make_private_directory(directory / "data")
        self._network = network
        self._running: dict[str, PartProcess] = {}
        self._secrets = self.data_dir / "secrets"
        found = server_credentials(self._secrets)
        address = {name: host.address for name, host in network.hosts.items()}
        self._redis = servers.RedisServer(REDIS_PORT, found.redis_password, address[REDIS])
        self._s3 = servers.S3Server(
            S3_PORT, found.s3_access_key_id, found.s3_secret_access_key, host=address[S3]
        )
        write_secret_files(self._secrets, self._redis.url, self._s3.secret_access_key)
        self._bind = f"{address[API]}:{API_PORT}"
        self._environ = service_parts.service_environment(
            {**os.environ, **settings}, self._s3, self._secrets
        )
        self._settings = Settings.from_environment(self._environ)
        self._buckets = (self._settings.bucket, self._settings.staging_bucket)

    def start(self) -> None:
        """Start every part on its host; return once all answer.

        Raises:
            PartError: one does not.
        """
        directory, environ, url = self.data_dir, self._environ, f"http://{self._bind}"
        self._start(REDIS, servers.valkey(self._redis, directory / "valkey", os.environ))
        self._start(S3, servers.s3(self._s3, directory / "s3", self._buckets, os.environ))
        for host in WORKERS:
            worker = service_parts.worker(1, directory, environ, self._redis)
            self._start(host, replace(worker, name=host, command=(_QRMILL, "worker")))
        sweep = service_parts.sweep(directory, environ, self._redis)
        self._start(API, replace(sweep, command=(_QRMILL, "sweep")))
        api = service_parts.api(API_PORT, url, directory, environ)
        self._start(API, replace(api, command=(_QRMILL, "api", "--bind", self._bind)))
        self._tokens = api_tokens(self._secrets, open_service(self._settings).api_keys)

    def stop(self) -> None:
        """End every part, and the servers when those that need them have ended."""
        servers_too = {name: self._running.pop(name, None) for name in ("valkey", "s3")}
        stop_all([*self._running.values()])
        stop_all([part for part in servers_too.values() if part is not None])

    @property
    def ready(self) -> Ready:
        """Where everything is, and which parts run."""
        return Ready(
            api_url=f"http://{self._bind}",
            docs_url=f"http://{self._bind}/docs",
            client_key=self._tokens.client_key,
            operator_key=self._tokens.operator_key,
            redis_url=self._redis.url,
            s3_endpoint_url=self._s3.endpoint_url,
            s3_access_key_id=self._s3.access_key_id,
            s3_secret_file=str(s3_secret_file(self._secrets)),
            buckets=[*self._buckets],
            metrics_urls={},
            parts={name: part.pid for name, part in self._running.items() if not part.ended()},
        )

    def output(self) -> str:
        """Return the last lines of every part."""
        return "\n".join(f"{name}: {part.last_lines(3)}" for name, part in self._running.items())

    def _start(self, host: str, part: Part) -> None:
        there = replace(part, command=self._network.hosts[host].command(*part.command))
        self._running[part.name] = start_and_wait(there, self.data_dir / "logs")


@contextmanager
def running_hosts(network: Network, directory: Path, settings: Mapping[str, str]) -> Iterator[Rig]:
    """Run the service on the hosts through the block.

    Raises:
        PartError: a part does not answer.
    """
    stack = HostsStack(network, directory, settings)
    try:
        stack.start()
        yield Rig(stack, None)
    finally:
        network.heal()
        stack.stop()
