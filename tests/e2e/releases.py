"""Two releases of the service over one Redis and one S3: this tree, and the one before it.

The one before is a wheel, built from the commit that is named here and installed into a folder of
its own, with its own dependencies in the versions that it has pinned.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from deploy.embedded import service_parts
from deploy.embedded.credentials import write_secret_files
from deploy.embedded.files import make_private_directory
from deploy.embedded.ports import LOOPBACK, free_port
from deploy.embedded.process import Part, PartProcess, stop_all, wait_until
from deploy.embedded.servers import RedisServer, S3Server
from pipeline.settings import Settings
from tests.wheels import ROOT, build_wheel, install_into, run

Release = Literal["old", "new"]
PartName = Literal["api", "worker", "sweep"]

#: 0.2.0. To be raised to the commit of each release, when that is out.
PREVIOUS = "944bfb88d4c325d46f41dc4e948450d79baf372f"


def install_previous(directory: Path) -> Path:
    """Return a folder that has the previous release, built as a wheel from its commit.

    Skips the test where there is no such history, as in a source archive or a shallow clone.
    """
    source, site = directory / "source", directory / "site"
    source.mkdir()
    archive = directory / "source.tar"
    command = ["git", "archive", "--format=tar", f"--output={archive}", PREVIOUS]
    try:
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no commit {PREVIOUS[:12]} here to build the previous release from: {error}")
    run("tar", "-xf", archive, "-C", source)
    install_into(site, build_wheel(source, directory), source / "constraints.txt")
    return site


class Fleet:
    """API, worker and sweep of both releases, of which any may run.

    Args:
        settings: where Redis and S3 are.
        servers: these, as the parts' probes ask for them.
        directory: of the logs.
        previous: folder that has the previous release.
    """

    def __init__(
        self,
        settings: Settings,
        servers: tuple[RedisServer, S3Server],
        directory: Path,
        previous: Path,
    ) -> None:
        self._redis, s3 = servers
        self._directory = directory
        secrets = make_private_directory(directory / "secrets")
        write_secret_files(secrets, self._redis.url, s3.secret_access_key)
        own = {
            "QRMILL_BUCKET": settings.bucket,
            "QRMILL_STAGING_BUCKET": settings.staging_bucket,
            "QRMILL_CHUNK_SIZE": str(settings.chunk_size),
        }
        environ = service_parts.service_environment(os.environ, s3, secrets) | own
        self._environ: dict[Release, dict[str, str]] = {
            "old": environ | {"PYTHONPATH": str(previous)},
            "new": environ | {"PYTHONPATH": str(ROOT)},
        }
        self._ports: dict[Release, int] = {"old": free_port(), "new": free_port()}
        self.urls = {release: f"http://{LOOPBACK}:{port}" for release, port in self._ports.items()}
        self._running: dict[tuple[Release, PartName], PartProcess] = {}

    def start(self, release: Release, *names: PartName) -> None:
        """Start parts of a release, and wait until they answer."""
        logs = self._directory / release
        for name in names:
            self._running[release, name] = PartProcess(self._part(release, name), logs)
        for name in names:
            started = self._running[release, name]
            assert wait_until(lambda: started.ended() or started.answers(), 60)  # noqa: B023 - now
            assert not started.ended(), started.last_lines()

    def stop(self, release: Release, *names: PartName) -> None:
        """Let parts of a release finish what they are at, and end."""
        stop_all([self._running.pop((release, name)) for name in names])

    def stop_all(self) -> None:
        stop_all([*self._running.values()])

    def events(self, release: Release, name: PartName) -> Counter[str]:
        """Return how often a part of a release has logged what."""
        log = self._directory / release / f"{'worker-1' if name == 'worker' else name}.log"
        lines = [line for line in log.read_text("utf-8").splitlines() if line.startswith("{")]
        return Counter(json.loads(line)["event"] for line in lines)

    def version(self, release: Release) -> str:
        """Return the version that the code of a release says it has."""
        code = "from importlib.metadata import version; print(version('qrmill'))"
        command = [sys.executable, "-P", "-c", code]
        environ = self._environ[release]
        return subprocess.run(
            command, env=environ, cwd=self._directory, check=True, capture_output=True, text=True
        ).stdout.strip()

    def _part(self, release: Release, name: PartName) -> Part:
        environ, directory = self._environ[release], self._directory
        if name == "api":
            port, url = self._ports[release], self.urls[release]
            part = service_parts.api(port, url, directory, environ)
            if release == "old":  # 0.2.0 has no api.gunicorn_app
                command = [
                    "gunicorn" if word == "api.gunicorn_app" else word for word in part.command
                ]
                part = dataclasses.replace(part, command=tuple(command))
            return part
        if name == "worker":
            return service_parts.worker(1, directory, environ, self._redis)
        return service_parts.sweep(directory, environ, self._redis)
