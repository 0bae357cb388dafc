"""The ready file: what scripts and tests need to know of a running stack."""

from pathlib import Path

import msgspec

from deploy.embedded.files import write_private


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """What the ready file says.

    Attributes:
        api_url: address of the API, without a slash at its end.
        docs_url: address of the documentation.
        client_key, operator_key: API keys.
        redis_url: with the password.
        s3_secret_file: path of the file that holds the S3 secret key.
        buckets: the service's S3 buckets.
        metrics_urls: where Prometheus finds each part.
        parts: process id of each part that answers; one that is being started again is not there.
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
    """Put ``ready`` at ``path``, for its owner alone; a reader sees the old or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, msgspec.json.format(msgspec.json.encode(ready)) + b"\n")


def read_ready(path: Path) -> Ready:
    """Return what the ready file says.

    Raises:
        FileNotFoundError: the stack is not ready.
    """
    return msgspec.json.decode(path.read_bytes(), type=Ready)
