"""``make demo``: produce a ZIP of 5000 QR codes on a fresh stack, and check every member."""

import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from deploy.embedded.demo_check import SAMPLE, check_bundle
from deploy.embedded.demo_job import DemoError, Job, download, make_request
from deploy.embedded.running import RunningStack, StackError, running_stack

_OUT = Path("demo-out")
_ITEMS = 5000
#: Exceptions that a malformed response or a damaged bundle causes.
_UNEXPECTED = (httpx2.HTTPError, OSError, zipfile.BadZipFile, KeyError, ValueError)


class Stages:
    """Duration of each stage, in seconds, in the order of the stages."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Measure the duration of the block as stage ``name``."""
        begin = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - begin


def main() -> int:
    """Run the demo; return the exit status."""
    console, stages = Console(highlight=False), Stages()
    try:
        bundle = run(_OUT, _ITEMS, console, stages)
    except (DemoError, StackError) as error:
        return _failed(str(error))
    except _UNEXPECTED as error:
        return _failed(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        return 130
    _summarise(console, bundle, stages)
    return 0


def _failed(reason: str) -> int:
    Console(stderr=True).print(f"The demo failed: {reason}", markup=False, soft_wrap=True)
    return 1


def run(out: Path, items: int, console: Console, stages: Stages) -> Path:
    """Start a fresh stack, produce a bundle, check it, and return its path.

    Raises:
        DemoError: a response or the bundle is not as documented.
        StackError: the stack did not start.
    """
    shutil.rmtree(out, ignore_errors=True)
    console.print("Starting Valkey, an S3 server, the API and two workers …")
    bundle, request = out / "bundle.zip", make_request(items)
    begin = time.perf_counter()
    with running_stack(out) as stack:
        stages.seconds["set-up"] = time.perf_counter() - begin
        status = _make_bundle(stack, request, console, stages)
        with stages("download"):
            download(status["download_url"], bundle)
    if stack.process.returncode != 0:
        raise DemoError(f"the stack ended with an error: {stack.output().strip()}")
    console.print(f"Checking {items} members and decoding {SAMPLE} symbols …")
    with stages("verify"):
        check_bundle(bundle, request)
    return bundle


def _make_bundle(
    stack: RunningStack, request: dict[str, Any], console: Console, stages: Stages
) -> dict[str, Any]:
    with stack.client() as client:
        with stages("accept"):
            job = Job(client, request)
        with _progress(console) as progress:
            bar = progress.add_task(f"{len(request['items'])} PNG symbols", total=100)
            return _follow(job, progress, bar, stages)


def _follow(job: Job, progress: Progress, bar: TaskID, stages: Stages) -> dict[str, Any]:
    begin = time.perf_counter()

    def on_status(status: dict[str, Any]) -> None:
        progress.update(bar, completed=status["progress_percent"])
        chunks, now = status["chunks"], time.perf_counter()
        if chunks["staged"] == chunks["total"]:
            stages.seconds.setdefault("rendering", now - begin)

    status = job.follow(on_status)
    rendering = stages.seconds.setdefault("rendering", time.perf_counter() - begin)
    stages.seconds["bundle"] = time.perf_counter() - begin - rendering
    return status


def _progress(console: Console) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn()
    return Progress(*columns, TimeElapsedColumn(), console=console)


def _summarise(console: Console, bundle: Path, stages: Stages) -> None:
    megabytes = bundle.stat().st_size / 1e6
    console.print(
        f"\n{_ITEMS} QR codes, all checked: {bundle} ({megabytes:.1f} MB)", soft_wrap=True
    )
    times = (f"{name} {seconds:.1f} s" for name, seconds in stages.seconds.items())
    console.print("Stages: " + ", ".join(times), soft_wrap=True)
    slowest = max(stages.seconds, key=stages.seconds.__getitem__)
    console.print(f"The slowest stage was {slowest}. The stack has stopped.")


if __name__ == "__main__":
    sys.exit(main())
