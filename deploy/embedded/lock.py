"""One stack a data directory: a lock that the kernel gives back however its holders end."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.embedded.process import wait_until

#: Seconds that the parts of a killed run get to notice and to end: a worker finishes its message.
_PATIENCE = 45.0


class DataDirectoryInUseError(Exception):
    """Another stack runs on the data directory; the message names its process id."""


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock at ``path``; yields its descriptor.

    Parts inherit the descriptor, so that after a kill -9 of their supervisor the next one waits
    until the last of them has let go of its port and files.

    Raises:
        DataDirectoryInUseError: somebody else holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _acquire(descriptor, path.parent)
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, directory: Path) -> None:
    def free_or_alive() -> bool:
        return _try_lock(descriptor) or _is_alive(_holder(descriptor))

    wait_until(free_or_alive, _PATIENCE, interval=0.1)
    if not _try_lock(descriptor):
        raise DataDirectoryInUseError(
            f"The data directory {directory} is in use by process {_holder(descriptor)}. "
            "Stop that one first, or choose another directory with --data-dir."
        )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(descriptor: int) -> int:
    return int(os.pread(descriptor, 32, 0) or b"0")


def _is_alive(pid: int) -> bool:
    if pid == 0:  # just taken, not yet written
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
