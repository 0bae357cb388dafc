"""An exclusive lock for the duration of a download, on Windows too."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    _HAS_FLOCK = False
else:
    _HAS_FLOCK = True

#: Flag with which Windows deletes a file when its last handle is closed, even if the process was
#: terminated.
_O_TEMPORARY: int = getattr(os, "O_TEMPORARY", 0)


class LockedError(Exception):
    """Raised when another process or thread has the lock."""


@contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on ``path`` for the block; afterwards, delete the file if it is empty.

    On systems with ``flock``, the lock is on the file itself, and the kernel releases the lock
    however the process ends. Windows cannot rename an open file. The lock on Windows is therefore
    a second file, ``path`` with ``.lock`` appended, which only one process can create.

    Raises:
        LockedError: another process or thread has the lock.
        OSError: the file cannot be created.
    """
    with _flock(path) if _HAS_FLOCK else _create_lock_file(path):
        yield


@contextmanager
def _flock(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError from None
        except OSError:
            pass  # a file system without locks, for example some network file systems
        # Between open and flock, another process may have renamed the file.
        if not _is_same(file.fileno(), path):
            raise LockedError
        try:
            yield
        finally:
            if _is_same(file.fileno(), path) and not path.stat().st_size:
                path.unlink()


@contextmanager
def _create_lock_file(path: Path) -> Iterator[None]:
    lock = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_RDWR | _O_TEMPORARY)
    except FileExistsError:
        raise LockedError from None
    try:
        yield
    finally:
        if path.exists() and not path.stat().st_size:
            path.unlink()
        os.close(descriptor)
        lock.unlink(missing_ok=True)  # O_TEMPORARY may have deleted the file already


def _is_same(descriptor: int, path: Path) -> bool:
    """Return whether ``path`` is still the name of the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
