"""The embedded stack: its data directory, its processes, and their life cycle.

DATA_DIR/ (mode 0700)
    lock        locked while the stack runs
    ports.json  ports of Valkey, S3 and the metrics, kept across restarts
    secrets/    passwords and keys
    valkey/     Valkey's append-only file: the ledger and the queues
    s3/         one directory per bucket: requests, staged chunks, bundles, API keys
    logs/       one log per process, and its predecessor, of at most 10 MiB each
    metrics/    one directory per process, emptied when the process starts
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from deploy.embedded import servers, service_parts
from deploy.embedded.credentials import (
    Credentials,
    api_keys_file,
    api_tokens,
    s3_secret_file,
    server_credentials,
    write_secret_files,
)
from deploy.embedded.data_directory import open_data_directory
from deploy.embedded.disk import write_through
from deploy.embedded.files import make_private_directory
from deploy.embedded.lock import locked
from deploy.embedded.ports import LOOPBACK, remembered_ports, wanted_port
from deploy.embedded.process import Part
from deploy.embedded.ready import Ready, write_ready
from deploy.embedded.supervisor import StopRequestedError, Supervisor
from pipeline.service import Settings, open_service

_NOT_WRITTEN_THROUGH = (
    "The file system of {path} does not support synchronous writes (chattr +S +D): a power cut "
    "may lose the last 35 seconds of stored data."
)


@dataclass(frozen=True, slots=True)
class Options:
    """Options of ``qrmill up``.

    Attributes:
        data_dir: the data directory.
        port: port of the API, or 0 to select a free port.
        ready_file: path of the ready file, or None to write none.
    """

    data_dir: Path
    port: int
    ready_file: Path | None


def run(options: Options, report: Callable[[str], None]) -> None:
    """Run the stack until a stop signal. No process is left running afterwards.

    Args:
        options: options of ``qrmill up``.
        report: prints a line for the user.

    Raises:
        PartError, DataDirectoryError, DataDirectoryInUseError, PortTakenError, CredentialsError,
        SettingsError, StoreUnavailableError: the stack could not be started or kept running.
    """
    data_dir = open_data_directory(options.data_dir)
    with locked(data_dir / "lock") as lock:
        _Stack(data_dir, options, report).run(lock)


class _Stack:
    """The processes of one data directory, and the messages about these processes."""

    def __init__(self, data_dir: Path, options: Options, report: Callable[[str], None]) -> None:
        self._data_dir, self._report, self._ready_file = data_dir, report, options.ready_file
        self._ready: Ready | None = None
        self._pids: dict[str, int] = {}
        self._port = wanted_port(options.port)
        self._secrets = data_dir / "secrets"
        self._servers(server_credentials(self._secrets))
        self._environ = service_parts.service_environment(os.environ, self._s3, self._secrets)
        self._settings = Settings.from_environment(self._environ)
        self._url = f"http://{LOOPBACK}:{self._port}{self._settings.api_prefix}"

    def _servers(self, credentials: Credentials) -> None:
        ports = remembered_ports(self._data_dir / "ports.json", service_parts.MEASURED)
        self._metrics = ports.metrics
        self._redis = servers.RedisServer(ports.redis, credentials.redis_password)
        self._s3 = servers.S3Server(
            ports.s3, credentials.s3_access_key_id, credentials.s3_secret_access_key
        )
        write_secret_files(self._secrets, self._redis.url, self._s3.secret_access_key)

    def run(self, lock: int) -> None:
        """Start all processes, print their addresses, and supervise them until a stop signal."""
        self._remove_ready_file()  # left by a killed run
        if not write_through(make_private_directory(self._data_dir / "s3")):
            self._report(_NOT_WRITTEN_THROUGH.format(path=self._data_dir))
        supervisor = Supervisor(
            self._stages(),
            self._data_dir / "logs",
            report=self._report,
            on_change=self._note_parts,
            lock=lock,
        )
        try:
            supervisor.start()
            self._announce()
            supervisor.watch()
        except StopRequestedError as request:
            self._report(f"Stopping ({request}) …")
        finally:
            self._remove_ready_file()
            supervisor.stop()
        self._report("Stopped. No process is left running.")

    def _stages(self) -> list[list[Part]]:
        buckets = (self._settings.bucket, self._settings.staging_bucket)
        valkey_dir, s3_dir = self._data_dir / "valkey", self._data_dir / "s3"
        measured = [
            *(self._worker(number + 1) for number in range(service_parts.WORKERS)),
            service_parts.sweep(self._data_dir, self._environ, self._redis),
            # The working directory is `logs`, because gunicorn removes white space from the end of
            # the working directory's path, which the user chooses for the data directory.
            service_parts.api(self._port, self._url, self._data_dir / "logs", self._environ),
        ]
        return [
            [
                servers.valkey(self._redis, valkey_dir, os.environ),
                servers.s3(self._s3, s3_dir, buckets, os.environ),
            ],
            [self._with_metrics(part) for part in measured],
        ]

    def _with_metrics(self, part: Part) -> Part:
        return service_parts.with_metrics(part, self._metrics[part.name], self._data_dir)

    def _worker(self, number: int) -> Part:
        return service_parts.worker(number, self._data_dir, self._environ, self._redis)

    def _announce(self) -> None:
        tokens = api_tokens(self._secrets, open_service(self._settings).api_keys)
        self._ready = Ready(
            api_url=self._url,
            docs_url=f"{self._url}/docs",
            client_key=tokens.client_key,
            operator_key=tokens.operator_key,
            redis_url=self._redis.url,
            s3_endpoint_url=self._s3.endpoint_url,
            s3_access_key_id=self._s3.access_key_id,
            s3_secret_file=str(s3_secret_file(self._secrets)),
            buckets=[self._settings.bucket, self._settings.staging_bucket],
            metrics_urls={
                part: f"http://{LOOPBACK}:{port}/metrics" for part, port in self._metrics.items()
            },
            parts=self._pids,
        )
        metrics = ", ".join(f"{part} {url}" for part, url in self._ready.metrics_urls.items())
        self._report(
            f"\n  API             {self._url}\n  X-API-Key       {tokens.client_key}\n"
            f"  documentation   {self._ready.docs_url}\n"
            f"  portal          {self._url}/jobs/\n"
            f"  console         {self._url}/ops/\n"
            f"  operator key    in {api_keys_file(self._secrets)}\n"
            f"  metrics         {metrics}\n"
            f"  data and logs   {self._data_dir}\n  stop with       Ctrl-C\n"
        )
        # Written last, so that the terminal already shows the addresses when this file exists.
        self._write_ready_file()

    def _note_parts(self, pids: dict[str, int]) -> None:
        self._pids = pids
        if self._ready is not None:
            self._ready = msgspec.structs.replace(self._ready, parts=pids)
            try:
                self._write_ready_file()
            except OSError as error:  # no reason to stop the stack
                self._report(f"The ready file could not be written: {error}")

    def _write_ready_file(self) -> None:
        if self._ready is not None and self._ready_file is not None:
            write_ready(self._ready_file, self._ready)

    def _remove_ready_file(self) -> None:
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
