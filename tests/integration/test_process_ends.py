"""How the processes of a role end: a sweep that is stopped, a worker whose master is killed."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil
import redis

from api.cli.server import sweep_command, worker_command
from pipeline.ledger import keys
from pipeline.settings import Settings, variable
from tests.waiting import wait_for


@contextmanager
def running(
    command: tuple[str, ...], settings: Settings, directory: Path
) -> Iterator[subprocess.Popen[bytes]]:
    environ = os.environ | {
        variable(name): str(value)
        for name, value in msgspec.structs.asdict(settings).items()
        if value is not None
    }
    with (
        (directory / "log").open("wb") as log,
        subprocess.Popen(command, env=environ, cwd=directory, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def test_a_sweep_that_is_stopped_ends_its_pass(
    settings: Settings, redis_url: str, tmp_path: Path
) -> None:
    with (
        redis.Redis.from_url(redis_url) as client,
        running(sweep_command(), settings, tmp_path) as sweep,
    ):
        wait_for(lambda: client.exists(keys.SWEEP), "its lease", pause=0.1)
        sweep.send_signal(signal.SIGTERM)
        assert sweep.wait(60) == 0


def test_a_worker_ends_with_its_master(settings: Settings, tmp_path: Path) -> None:
    with running(worker_command(1), settings, tmp_path) as master:
        # While the worker notifies its master of its start, it waits for the master alone.
        log = tmp_path / "log"
        wait_for(lambda: b"ready for action" in log.read_bytes(), "a worker", pause=0.1)
        workers = psutil.Process(master.pid).children()
        assert workers
        master.kill()
        _, alive = psutil.wait_procs(workers, 60)
        for each in alive:
            each.kill()
        assert alive == []
