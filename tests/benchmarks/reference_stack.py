"""The replaced design as processes: a Falcon front and a Celery worker, in their own environment.

It uses the Valkey (another database of it) and the S3 server (a bucket of its own) of the stack
that it is compared with, and as many processes: two of gunicorn, two of the worker.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import boto3
from botocore.config import Config

from deploy.embedded.ports import LOOPBACK, free_port
from deploy.embedded.process import dies_with_parent, wait_until
from deploy.embedded.ready import Ready
from tests.benchmarks.connection import Connection

_HERE = Path(__file__).with_name("reference")
_ENVIRONMENT = Path(__file__).parents[2] / ".venv-reference"
_BUCKET = "reference"
_START_SECONDS, _STOP_SECONDS = 60.0, 20.0


def install() -> None:
    """Make the virtual environment of the reference unless it is there."""
    requirements = _HERE / "requirements.txt"
    stamp = _ENVIRONMENT / ".installed"
    if stamp.exists() and stamp.read_text("utf-8") == requirements.read_text("utf-8"):
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", _ENVIRONMENT], check=True)
    pip = [str(_ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--disable-pip-version-check", "-r", str(requirements)], check=True)
    stamp.write_text(requirements.read_text("utf-8"), "utf-8")


@contextmanager
def running_reference(ready: Ready, directory: Path) -> Iterator[str]:
    """Run the reference on the servers of ``ready``; yield its URL."""
    install()
    environment = {**os.environ, **_addresses(ready)}
    url = f"http://{LOOPBACK}:{free_port()}"
    programs = _ENVIRONMENT.absolute() / "bin"
    front = [str(programs / "gunicorn"), "--bind", urlsplit(url).netloc, "--workers", "2"]
    front += ["--worker-class", "gthread", "--threads", "16", "--no-control-socket"]
    worker = [str(programs / "celery"), "-A", "tasks", "worker", "--pool", "prefork"]
    worker += ["--concurrency", "2", "--loglevel", "warning"]
    commands = {"front": [*front, "front:get_app()"], "celery": worker}
    running = []
    try:
        for name, command in commands.items():
            with (directory / f"reference-{name}.log").open("wb") as output:
                running.append(
                    subprocess.Popen(
                        command,
                        cwd=_HERE,
                        env=environment,
                        stdout=output,
                        stderr=output,
                        preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 - no threads yet
                    )
                )
        assert wait_until(lambda: _answers(url), _START_SECONDS), f"it did not start: {directory}"
        yield url
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(_STOP_SECONDS)


def _addresses(ready: Ready) -> dict[str, str]:
    secret = Path(ready.s3_secret_file).read_text("utf-8").strip()
    boto3.client(
        "s3",
        endpoint_url=ready.s3_endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=ready.s3_access_key_id,
        aws_secret_access_key=secret,
        config=Config(s3={"addressing_style": "path"}),
    ).create_bucket(Bucket=_BUCKET)
    return {
        "REFERENCE_REDIS_URL": urlunsplit(urlsplit(ready.redis_url)._replace(path="/1")),
        "REFERENCE_S3_ENDPOINT_URL": ready.s3_endpoint_url,
        "REFERENCE_BUCKET": _BUCKET,
        "AWS_ACCESS_KEY_ID": ready.s3_access_key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
    }


def _answers(url: str) -> bool:
    """Return whether a first job gets through: front, broker, worker and S3."""
    body = b'{"gtin": "9506000134352", "format": "svg", "size": 400, "items": [{"serial": "1"}]}'
    try:
        connection = Connection(url)
    except OSError:
        return False
    task = connection.post("/qr/bulk/", body)
    while connection.get(task["poll_url"])["status"] != "completed":
        time.sleep(0.1)
    connection.close()
    return True
