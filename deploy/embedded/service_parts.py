"""The service's own processes in the stack: the API, the workers and the sweep.

They run the same code with the same command lines as in production. Only the addresses differ.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import httpx2
import redis

from api.cli.server import api_command, sweep_command, worker_command, worker_environment
from deploy.embedded.credentials import redis_url_file, s3_secret_file
from deploy.embedded.ports import LOOPBACK
from deploy.embedded.process import Part, Probe
from deploy.embedded.servers import RedisServer, S3Server
from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis

WORKERS = 2
#: Names of the processes that have metrics.
MEASURED = ("api", "sweep", *(f"worker-{number + 1}" for number in range(WORKERS)))
_API_PROCESSES = 2
_WORKER_THREADS = 2
#: Seconds that a worker has to finish its message, and the API to finish its requests.
_GRACE = 30
_PROBE_SECONDS = 2.0


def service_environment(
    environ: Mapping[str, str], s3_server: S3Server, secrets: Path
) -> dict[str, str]:
    """Return a copy of ``environ`` with the stack's addresses; other settings are kept.

    Args:
        environ: the user's environment.
        s3_server: address of S3.
        secrets: directory with the files that ``write_secret_files`` writes.
    """
    own = {
        "QRMILL_REDIS_URL_FILE": str(redis_url_file(secrets).absolute()),
        "QRMILL_S3_ENDPOINT_URL": s3_server.endpoint_url,
        "QRMILL_S3_REGION": s3_server.region,
        "QRMILL_S3_ACCESS_KEY_ID": s3_server.access_key_id,
        "QRMILL_S3_SECRET_ACCESS_KEY_FILE": str(s3_secret_file(secrets).absolute()),
        # gunicorn and dramatiq must not import a directory `api` that happens to be in the working
        # directory.
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }
    # The service does not need a client's API key and API URL. The URL of Redis and the S3 secret
    # key are read only from their files, and the access key id only from its variable.
    foreign = {
        "QRMILL_REDIS_URL",
        "QRMILL_S3_SECRET_ACCESS_KEY",
        "QRMILL_S3_ACCESS_KEY_ID_FILE",
        "QRMILL_API_KEY",
        "QRMILL_URL",
    }
    return {name: value for name, value in environ.items() if name not in foreign} | own


def with_metrics(part: Part, port: int, data_dir: Path) -> Part:
    """Return a copy of ``part`` that serves its metrics at a loopback port."""
    own = {
        "QRMILL_METRICS_PORT": str(port),
        "QRMILL_METRICS_HOST": LOOPBACK,
        "PROMETHEUS_MULTIPROC_DIR": str(data_dir.absolute() / "metrics" / part.name),
    }
    return dataclasses.replace(part, environment={**part.environment, **own})


def api(port: int, url: str, directory: Path, environ: Mapping[str, str]) -> Part:
    """Return the API process (gunicorn). The API is ready when ``{url}/readyz`` returns 2xx."""
    command = api_command(f"{LOOPBACK}:{port}", _API_PROCESSES)
    probe = partial(_api_responds, f"{url}/readyz")
    return _part("api", command, directory, environ, lambda: probe)


def worker(
    number: int, directory: Path, environ: Mapping[str, str], redis_server: RedisServer
) -> Part:
    """Return a worker process. A worker is ready when its first fetch has written a heartbeat."""
    command = worker_command(_WORKER_THREADS)
    environment = {**environ, **worker_environment(_WORKER_THREADS)}
    new_probe = partial(_worker_probe, redis_server.url)
    return _part(f"worker-{number}", command, directory, environment, new_probe)


def sweep(directory: Path, environ: Mapping[str, str], redis_server: RedisServer) -> Part:
    """Return the sweep process. The sweep is ready when this or another sweep holds the lease."""
    probe = partial(_is_swept, redis_server.url)
    return _part("sweep", sweep_command(), directory, environ, lambda: probe)


def _part(
    name: str,
    command: tuple[str, ...],
    directory: Path,
    environ: Mapping[str, str],
    new_probe: Callable[[], Probe],
) -> Part:
    return Part(
        name=name,
        command=command,
        directory=directory,
        environment=environ,
        new_probe=new_probe,
        stop_seconds=_GRACE + 5,
    )


def _api_responds(url: str) -> bool:
    try:
        # Loopback is never reached through a proxy, so the proxy variables are ignored.
        return httpx2.get(url, timeout=_PROBE_SECONDS, trust_env=False).is_success
    except httpx2.TransportError:
        return False


def _worker_probe(url: str) -> Probe:
    before = _heartbeats(url)

    def answers() -> bool:
        return bool(_heartbeats(url) - before)

    return answers


def _heartbeats(url: str) -> set[bytes]:
    try:
        with open_redis(url, timeout=_PROBE_SECONDS) as client:
            return set(client.zrange(keys.HEARTBEATS, 0, -1))
    except redis.RedisError:
        return set()


def _is_swept(url: str) -> bool:
    try:
        with open_redis(url, timeout=_PROBE_SECONDS) as client:
            return bool(client.exists(keys.SWEEP))
    except redis.RedisError:
        return False
