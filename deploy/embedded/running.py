"""A whole stack as a process of its own, for the demo and for tests."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2

from deploy.embedded.files import make_private_directory
from deploy.embedded.process import dies_with_parent, wait_until
from deploy.embedded.ready import Ready, read_ready
from pipeline.service import Role

_START_SECONDS = 90.0
_STOP_SECONDS = 90.0


class StackError(Exception):
    """The stack did not start; the message shows what it said last."""


class RunningStack:
    """An ``up`` that was started in ``directory`` (``data/``, ``ready.json``, ``up.log``)."""

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.data_dir = directory / "data"
        self.ready_file = directory / "ready.json"
        self._output = make_private_directory(directory) / "up.log"
        self.ready_file.unlink(missing_ok=True)
        # -P: a folder `deploy` in the working directory is not the service's.
        command = [sys.executable, "-P", "-m", "deploy.embedded", "up", "--port", str(port)]
        command += ["--data-dir", str(self.data_dir), "--ready-file", str(self.ready_file)]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=dies_with_parent(signal.SIGTERM),  # noqa: PLW1509 - no threads yet
            )

    def output(self) -> str:
        """Return what it has said on the terminal so far."""
        return self._output.read_text("utf-8", "replace")

    def wait_ready(self) -> None:
        """Wait until everything answers.

        Raises:
            StackError: it ended, or took too long.
        """
        wait_until(lambda: self.ready_file.exists() or self.ended(), _START_SECONDS)
        if not self.ready_file.exists():
            raise StackError(f"the stack did not start: {self.output().strip()}")

    def ended(self) -> bool:
        """Return whether ``up`` has ended."""
        return self.process.poll() is not None

    @property
    def ready(self) -> Ready:
        """What the ready file says now."""
        return read_ready(self.ready_file)

    def client(self, role: Role = "client") -> httpx2.Client:
        """Return an HTTP client of the API with the stack's own key of that role."""
        ready = self.ready
        key = ready.client_key if role == "client" else ready.operator_key
        # Loopback is never behind a proxy, whatever the environment says.
        return httpx2.Client(
            base_url=ready.api_url, headers={"X-API-Key": key}, timeout=30, trust_env=False
        )

    def stop(self) -> int:
        """Ask it to stop, wait for its end, return its exit status."""
        if not self.ended():
            os.kill(self.process.pid, signal.SIGTERM)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()  # its parts notice
            return self.process.wait()


@contextmanager
def running_stack(directory: Path, port: int = 0) -> Iterator[RunningStack]:
    """Run a stack in ``directory`` until the end of the block.

    Raises:
        StackError: it did not start.
    """
    stack = RunningStack(directory, port)
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()
