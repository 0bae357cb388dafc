"""The S3 servers of the tests: that of the embedded stack, and one of other people and manners.

moto's server has IAM, STS and encryption headers besides. It checks no signatures unless IAM is
enforced (:func:`enforced`), those of download URLs never, and believes any checksum; those are
rclone's part.
"""

import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from deploy.embedded import servers
from deploy.embedded.ports import LOOPBACK
from deploy.embedded.process import Part

#: Runs a test on every S3 server.
EVERY_S3 = pytest.mark.parametrize("s3", ["rclone", "moto"], indirect=True)


def moto_server(server: servers.S3Server, directory: Path, environ: Mapping[str, str]) -> Part:
    """Return moto's server; it keeps what it is given in memory."""
    return Part(
        name="moto",
        command=(sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(server.port)),
        directory=directory,
        environment=environ,
        new_probe=lambda: partial(_answers, server),
    )


@contextmanager
def enforced(server: servers.S3Server) -> Iterator[None]:
    """Have moto check signatures and IAM policies meanwhile."""
    _after(server, "0")
    try:
        yield
    finally:
        _after(server, "inf")


def _after(server: servers.S3Server, requests: str) -> None:
    url = f"{server.endpoint_url}/moto-api/reset-auth"
    kind = {"Content-Type": "application/octet-stream"}
    asked = urllib.request.Request(url, requests.encode(), kind)
    with urllib.request.urlopen(asked) as answer:
        assert answer.status == 200


def _answers(server: servers.S3Server) -> bool:
    try:
        server.client().list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True
