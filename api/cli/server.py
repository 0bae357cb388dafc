"""The service's roles as commands: `qrmill api`, `qrmill worker`, `qrmill sweep`.

Each command replaces its own process with a server program (``exec``), so that the program receives
signals directly from its supervisor: a container runtime, systemd or the embedded stack. Settings
are read from the service's QRMILL_ environment.
"""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from pipeline.broker.names import (
    BUNDLE_QUEUE,
    BUNDLE_QUEUES,
    EXPRESS_QUEUE,
    EXPRESS_QUEUES,
    RENDER_QUEUE,
    RENDER_QUEUES,
    WEBHOOK_QUEUE,
)


class Queue(StrEnum):
    """Queues that a worker can consume: the choices of the option ``--queue``."""

    RENDER = RENDER_QUEUE
    EXPRESS = EXPRESS_QUEUE
    BUNDLE = BUNDLE_QUEUE
    WEBHOOK = WEBHOOK_QUEUE

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the broker's queues; a name of a first lane stands for all lanes."""
        lanes = (RENDER_QUEUES, EXPRESS_QUEUES, BUNDLE_QUEUES)
        return next((queues for queues in lanes if queues[0] == self), (self.value,))


#: Milliseconds that a stopping worker has to finish its messages. A message that takes longer is
#: delivered again after its lease has expired, so a longer time would only delay a deployment.
_GRACE = 30_000
#: -P: never import a folder `api` or `pipeline` from the current directory.
_PYTHON = (sys.executable, "-P", "-m")


def api_command(bind: str, processes: int) -> tuple[str, ...]:
    """Return the API's command line: gunicorn (`api.gunicorn_app`), with `api.gunicorn_conf`."""
    return (
        *(*_PYTHON, "api.gunicorn_app", "--config", "python:api.gunicorn_conf"),
        *("--bind", bind, "--workers", str(processes), "api.app:get_app()"),
    )


def worker_command(threads: int, queues: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return a worker's command line: Dramatiq with one process, for ``queues`` or all queues.

    Dramatiq stops all its processes when one of them is killed. Each worker therefore has one
    process, and a host runs as many workers as it needs.
    """
    # The chunks of one tenant occupy as many threads as the prefetch. Another thread is left to the
    # other lanes, and one more where bundles or webhooks occupy threads besides.
    chunks = not queues or bool({*queues} & {*RENDER_QUEUES, *EXPRESS_QUEUES})
    others = not queues or bool({*queues} & {*BUNDLE_QUEUES, WEBHOOK_QUEUE})
    threads += (len(queues) != 1) + (chunks and others)
    return (
        # `--path` without values keeps Dramatiq from adding the current directory to sys.path.
        *(*_PYTHON, "dramatiq", "pipeline.worker:setup_broker", "--path"),
        *("--processes", "1", "--threads", str(threads), "--skip-logging"),
        *("--worker-shutdown-timeout", str(_GRACE)),
        *(("--queues", *queues) if queues else ()),
    )


def worker_environment(threads: int) -> dict[str, str]:
    """Return variables that a worker's environment needs."""
    return {
        # The number of prefetched messages. With a larger prefetch, a chunk would wait behind a
        # slow chunk while another worker is idle.
        "dramatiq_queue_prefetch": str(threads),
        # glibc's number of memory pools. By default, threads share 8 pools per core, and each pool
        # keeps free memory that the others cannot use: a fifth more for a bundle of 100,000 items.
        "MALLOC_ARENA_MAX": "2",
    }


def sweep_command(*arguments: str) -> tuple[str, ...]:
    """Return the sweep's command line."""
    return (*_PYTHON, "pipeline.maintenance", *arguments)


def api(
    bind: Annotated[str, typer.Option(help="Address and port, or unix:PATH.")] = "127.0.0.1:8080",
    processes: Annotated[int, typer.Option(help="Number of processes.", min=1)] = 2,
) -> None:
    """Serve the API until SIGTERM, then finish the requests in progress."""
    _exec(api_command(bind, processes))


def worker(
    queue: Annotated[
        list[Queue] | None,
        typer.Option(
            help="Queue to consume; repeatable. Default: all queues.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int, typer.Option(help="Number of messages of one queue processed in parallel.", min=1)
    ] = 2,
) -> None:
    """Process queued messages until SIGTERM, then finish the messages in progress."""
    queues = tuple(name for each in queue or () for name in each.names)
    _exec(worker_command(threads, queues), worker_environment(threads))


def sweep(
    *, once: Annotated[bool, typer.Option("--once", help="Run a single pass, then exit.")] = False
) -> None:
    """Rescue stalled jobs and clean up after ended jobs, until SIGTERM."""
    _exec(sweep_command(*(["--once"] if once else [])))


def _exec(command: tuple[str, ...], environment: dict[str, str] | None = None) -> None:
    os.execve(command[0], command, {**os.environ, **(environment or {})})  # noqa: S606 - no shell
