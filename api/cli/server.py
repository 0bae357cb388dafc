"""The service's roles as commands: `qrmill api`, `qrmill worker`, `qrmill sweep`.

Each becomes the program that does the work, so that nothing stands between that and the signals of
whoever runs it: a container's runtime, systemd, the embedded stack. They take settings from the
service's QRMILL_ environment.
"""

import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from pipeline.broker.names import BUNDLE_QUEUE, EXPRESS_QUEUE, RENDER_QUEUE, WEBHOOK_QUEUE


class Queue(StrEnum):
    """The queues that a worker can consume, as the choices of an option."""

    RENDER = RENDER_QUEUE
    EXPRESS = EXPRESS_QUEUE
    BUNDLE = BUNDLE_QUEUE
    WEBHOOK = WEBHOOK_QUEUE


#: Milliseconds that a worker has to finish its messages. Those that take longer come back after
#: their lease, so that a longer time would only hold up a deployment.
_GRACE = 30_000
#: -P: a folder `api` or `pipeline` where the command is run is not the service's.
_PYTHON = (sys.executable, "-P", "-m")


def api_command(bind: str, processes: int) -> tuple[str, ...]:
    """Return the API's command line: gunicorn (`api.gunicorn_app`), with `api.gunicorn_conf`."""
    return (
        *(*_PYTHON, "api.gunicorn_app", "--config", "python:api.gunicorn_conf"),
        *("--bind", bind, "--workers", str(processes), "api.app:get_app()"),
    )


def worker_command(threads: int, queues: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return a worker's command line: Dramatiq with one process, for these queues or for all.

    When one of several processes is killed, Dramatiq ends the others; so there is one, and whoever
    wants more of them starts more workers.
    """
    return (
        *(*_PYTHON, "dramatiq", "pipeline.worker:setup_broker", "--path"),  # none; else: "."
        *("--processes", "1", "--threads", str(threads), "--skip-logging"),
        *("--worker-shutdown-timeout", str(_GRACE)),
        *(("--queues", *queues) if queues else ()),
    )


def worker_environment(threads: int) -> dict[str, str]:
    """Return what a worker's environment needs besides: how many messages it fetches ahead."""
    # With more, a chunk waits behind a slow one while another worker is idle.
    return {"dramatiq_queue_prefetch": str(threads)}


def sweep_command(*arguments: str) -> tuple[str, ...]:
    """Return the sweep's command line."""
    return (*_PYTHON, "pipeline.maintenance", *arguments)


def api(
    bind: Annotated[str, typer.Option(help="Address and port, or unix:PATH.")] = "127.0.0.1:8080",
    processes: Annotated[int, typer.Option(help="How many of them answer.", min=1)] = 2,
) -> None:
    """Serve the API until SIGTERM; requests at hand are finished."""
    _become(api_command(bind, processes))


def worker(
    queue: Annotated[
        list[Queue] | None,
        typer.Option(
            help="Of which queue; may be repeated. Else of all.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="Messages worked on at once.", min=1)] = 2,
) -> None:
    """Work on the messages of queues until SIGTERM; those at hand are finished."""
    _become(worker_command(threads, tuple(queue or ())), worker_environment(threads))


def sweep(
    *, once: Annotated[bool, typer.Option("--once", help="One time, then end.")] = False
) -> None:
    """Find jobs that nothing moves and move them, until SIGTERM."""
    _become(sweep_command(*(["--once"] if once else [])))


def _become(command: tuple[str, ...], environment: dict[str, str] | None = None) -> None:
    os.execve(command[0], command, {**os.environ, **(environment or {})})  # noqa: S606 - no shell
