"""Podman as the container engine of tests, and Compose's own binary on its socket.

No image is pulled: the base is made of Debian's packages, the servers are stand-ins of the same
software.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from deploy.embedded.process import wait_until

ROOT = Path(__file__).parents[2]
IMAGE = "localhost/qrmill"
SUITE = "trixie"  # as the Dockerfile's own base image
MISSING = [name for name in ("podman", "runc", "mmdebstrap") if shutil.which(name) is None]
COMPOSE = Path(sys.executable).with_name("docker-compose")


class Podman:
    """Commands of Podman with a configuration of their own in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        # Podman would raise them above what this machine may allow.
        (directory / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n'
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            '[network]\nnetwork_backend = "netavark"\n',
            "utf-8",
        )
        self.environment = os.environ | {"CONTAINERS_CONF": str(directory / "containers.conf")}

    def __call__(self, *arguments: str | Path, seconds: float = 60) -> str:
        """Run a command; return what it says on standard output."""
        done = self.attempt(*arguments, seconds=seconds)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def attempt(
        self, *arguments: str | Path, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        return subprocess.run(
            ["podman", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """Return what Podman knows of an image or a container."""
        (found,) = msgspec.json.decode(self(kind, "inspect", name))
        return dict(found)

    def build(self, file: Path, context: Path, tag: str, *options: str) -> None:
        """Build an image; packages come from where this machine has them from."""
        mounts = [
            f"--volume={path}:{path}:ro"
            for path in ("/etc/pip.conf", "/etc/ssl/certs")
            if Path(path).exists()
        ]
        how = ["--quiet", "--isolation=chroot", "--network=host", "--format=docker", *mounts]
        self("build", *how, *options, "--tag", tag, "--file", file, context, seconds=600)

    def make_base(self, suite: str, packages: str = "ca-certificates") -> str:
        """Make an image of Debian with Python and these packages; it is kept for the next run."""
        name = f"localhost/qrmill-base-{suite}"
        if self.attempt("image", "exists", name).returncode == 0:
            return name
        listed = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
        mirrors = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.split()
        mirror = next(address for address in mirrors if "security" not in address)
        archive = self.directory / "base.tar"
        subprocess.run(
            [
                *("mmdebstrap", "--quiet", "--variant=minbase"),
                *(f"--include=python3,python3-venv,{packages}", suite, archive, mirror),
            ],
            check=True,
            timeout=600,
        )
        self("import", archive, name, seconds=300)
        archive.unlink()
        return name

    def make_images(self) -> None:
        """Build ours, and the stand-ins under the names that compose.yaml has."""
        base = self.make_base(SUITE)
        dockerfile = ROOT / "deploy" / "Dockerfile"
        self.build(dockerfile, ROOT, IMAGE, f"--build-arg=PYTHON_IMAGE={base}")
        context = self.directory / "servers"
        context.mkdir()
        shutil.copy(Path(sys.executable).with_name("rclone"), context)
        here, on = Path(__file__).with_name("Containerfile"), f"--build-arg=BASE={base}"
        for name in ("valkey", "rclone", "nginx"):
            self.build(here, context, _named(name), on, "--target=servers")
        self.build(here, context, _named("prometheus"), on)

    @contextmanager
    def engine(self) -> Iterator[dict[str, str]]:
        """Answer as Docker does; yield the environment in which Compose finds that."""
        socket = self.directory / "engine.sock"
        command = ["podman", "system", "service", "--time=0", f"unix://{socket}"]
        with (self.directory / "engine.log").open("wb") as log:
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        stop = threading.Event()
        checks = threading.Thread(target=self._check_health, args=(stop,))
        try:
            assert wait_until(socket.exists, 30)
            checks.start()
            yield {**os.environ, "DOCKER_HOST": f"unix://{socket}"}
        finally:
            stop.set()
            checks.join()
            process.terminate()
            process.wait(30)

    def _check_health(self, stop: threading.Event) -> None:
        # Podman leaves the calling of health checks to systemd's timers, which need not be here.
        while not stop.wait(0.5):
            for name in self.attempt("ps", "--format={{.Names}}").stdout.split():
                self.attempt("healthcheck", "run", name)


def _named(part: str) -> str:
    compose = (ROOT / "deploy" / "compose.yaml").read_text("utf-8")
    (image,) = re.findall(rf"image: ((?:\S+/)?{part}:\S+)", compose)
    return f"docker.io/{image if '/' in image else f'library/{image}'}"
