"""A whole stack in a separate process, for the demo and for tests."""

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
    """Raised when the stack does not start. The message has the stack's output."""


class RunningStack:
    """A process of ``qrmill up`` with its files in ``directory``.

    The files are ``data/``, ``ready.json`` and ``up.log``.
    """

    def __init__(self, directory: Path, port: int = 0) -> None:
        self.data_dir = directory / "data"
        self.ready_file = directory / "ready.json"
        self._output = make_private_directory(directory) / "up.log"
        self.ready_file.unlink(missing_ok=True)
        # -P: do not import from a directory `deploy` in the working directory.
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
        """Return the output of the process so far."""
        return self._output.read_text("utf-8", "replace")

    def wait_ready(self) -> None:
        """Wait until the stack is ready.

        Raises:
            StackError: the stack ended, or was not ready in time.
        """
        wait_until(lambda: self.ready_file.exists() or self.ended(), _START_SECONDS)
        if not self.ready_file.exists():
            raise StackError(f"the stack did not start: {self.output().strip()}")

    def ended(self) -> bool:
        """Return whether the process has ended."""
        return self.process.poll() is not None

    @property
    def ready(self) -> Ready:
        """The current content of the ready file."""
        return read_ready(self.ready_file)

    def client(self, role: Role = "client") -> httpx2.Client:
        """Return an HTTP client of the API that uses the stack's API key of that role."""
        ready = self.ready
        key = ready.client_key if role == "client" else ready.operator_key
        # Loopback is never reached through a proxy, so the proxy variables are ignored.
        return httpx2.Client(
            base_url=ready.api_url, headers={"X-API-Key": key}, timeout=30, trust_env=False
        )

    def stop(self) -> int:
        """Stop the stack with SIGTERM, wait until it has ended, and return its exit status."""
        if not self.ended():
            os.kill(self.process.pid, signal.SIGTERM)
        try:
            return self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()  # the processes of the stack die with it
            return self.process.wait()


@contextmanager
def running_stack(directory: Path, port: int = 0) -> Iterator[RunningStack]:
    """Run a stack in ``directory`` until the end of the block.

    Raises:
        StackError: the stack did not start.
    """
    stack = RunningStack(directory, port)
    try:
        stack.wait_ready()
        yield stack
    finally:
        stack.stop()
