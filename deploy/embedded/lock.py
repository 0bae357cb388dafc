"""Lock of a data directory (``flock``): only one stack at a time uses the directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deploy.embedded.process import wait_until

#: Seconds to wait for the processes of a killed stack to end. A worker finishes its message first.
_PATIENCE = 45.0


class DataDirectoryInUseError(Exception):
    """Raised when another stack uses the data directory. The message has its process id."""


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold the lock at ``path`` during the block; yield its file descriptor.

    The processes of the stack inherit the descriptor. After a kill -9 of their supervisor, the next
    supervisor therefore waits until all these processes have released their ports and files. The
    kernel releases the lock when the last process ends, even if that process was killed.

    Raises:
        DataDirectoryInUseError: another stack holds the lock.
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
            "Stop that process first, or choose another directory with --data-dir."
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
    if pid == 0:  # the lock is held, but the holder has not written its id yet
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
