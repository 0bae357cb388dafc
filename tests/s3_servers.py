"""The S3 servers of the tests: rclone, as in the embedded stack, and moto.

moto also supports IAM, STS and encryption headers. It checks signatures only while IAM is enforced
(:func:`enforced`), never checks those of download URLs, and accepts any checksum. rclone checks all
of these.
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

#: Runs a test with every S3 server.
EVERY_S3 = pytest.mark.parametrize("s3", ["rclone", "moto"], indirect=True)


def moto_server(server: servers.S3Server, directory: Path, environ: Mapping[str, str]) -> Part:
    """Return the process of moto's server, which keeps all objects in memory."""
    return Part(
        name="moto",
        command=(sys.executable, "-m", "moto.server", "-H", LOOPBACK, "-p", str(server.port)),
        directory=directory,
        environment=environ,
        new_probe=lambda: partial(_answers, server),
    )


@contextmanager
def enforced(server: servers.S3Server) -> Iterator[None]:
    """Have moto check signatures and IAM policies until the end of the block."""
    _enforce_after(server, "0")
    try:
        yield
    finally:
        _enforce_after(server, "inf")


def _enforce_after(server: servers.S3Server, requests: str) -> None:
    url = f"{server.endpoint_url}/moto-api/reset-auth"
    kind = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, requests.encode(), kind)
    with urllib.request.urlopen(request) as response:
        assert response.status == 200


def _answers(server: servers.S3Server) -> bool:
    try:
        server.client().list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True
