"""The ready file: addresses and credentials of a running stack, for scripts and tests."""

from pathlib import Path

import msgspec

from deploy.embedded.files import write_private


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """Content of the ready file.

    Attributes:
        api_url: URL of the API, without a trailing slash.
        docs_url: URL of the API documentation.
        client_key, operator_key: API keys.
        redis_url: URL of Redis, with the password.
        s3_endpoint_url: URL of the S3 server.
        s3_access_key_id: Access key id for the S3 server.
        s3_secret_file: Path of the file with the S3 secret key.
        buckets: names of the service's S3 buckets.
        metrics_urls: URL of the metrics of each process.
        parts: process id of each ready process. A process that is being restarted is absent.
    """

    api_url: str
    docs_url: str
    client_key: str
    operator_key: str
    redis_url: str
    s3_endpoint_url: str
    s3_access_key_id: str
    s3_secret_file: str
    buckets: list[str]
    metrics_urls: dict[str, str]
    parts: dict[str, int]


def write_ready(path: Path, ready: Ready) -> None:
    """Replace the ready file at ``path`` atomically, with mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, msgspec.json.format(msgspec.json.encode(ready)) + b"\n")


def read_ready(path: Path) -> Ready:
    """Return the content of the ready file.

    Raises:
        FileNotFoundError: the stack is not ready.
    """
    return msgspec.json.decode(path.read_bytes(), type=Ready)
