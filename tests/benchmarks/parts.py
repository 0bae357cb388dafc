"""The processes of a running stack: stopped for a while, and what they take of the machine."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from deploy.embedded.ready import Ready


def processes_of(ready: Ready, part: str) -> list[psutil.Process]:
    """Return the main process of a part and its children."""
    master = psutil.Process(ready.parts[part])
    return [master, *master.children(recursive=True)]


@contextmanager
def stopped(ready: Ready, part: str) -> Iterator[None]:
    """Let a part stand still (SIGSTOP) until the end of the block."""
    processes = [process.pid for process in processes_of(ready, part)]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def cpu_seconds(ready: Ready) -> dict[str, float]:
    """Return the CPU seconds that each part, and this process, has taken so far."""
    found = {part: processes_of(ready, part) for part in ready.parts}
    found["load generator"] = [psutil.Process()]
    taken = {}
    for part, processes in found.items():
        times = [process.cpu_times() for process in processes]
        taken[part] = sum(time.user + time.system for time in times)
    return taken


def busy_seconds() -> float:
    """Return the CPU seconds that everything on this machine has taken so far."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest - times.guest_nice)


def peak_megabytes(ready: Ready, part: str) -> float:
    """Return the most memory that one process of a part has had resident, in MB."""
    peaks = []
    for process in processes_of(ready, part):
        status = Path(f"/proc/{process.pid}/status").read_text("ascii")
        peaks += [int(kilobytes) for kilobytes in re.findall(r"VmHWM:\s+(\d+) kB", status)]
    return max(peaks) * 1024 / 1e6
