"""Private files and directories, written atomically and durably."""

import os
import tempfile
from pathlib import Path


def make_private_directory(path: Path) -> Path:
    """Create a directory with mode 0700, and its parents; return its path."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Replace the file at ``path`` atomically, with mode 0600.

    A reader sees either the old or the new file. The content and the name have been synced to the
    disk when this function returns.

    Raises:
        OSError: the directory is not writable.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
