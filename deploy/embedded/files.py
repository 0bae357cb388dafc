"""Files that only their owner may read, and that are whole after a power cut."""

import os
import tempfile
from pathlib import Path


def make_private_directory(path: Path) -> Path:
    """Make a directory (and its parents) that only its owner may enter; return it."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_private(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path`` with mode 0600: afterwards the file is the old or the new one.

    The content and the name are on the disk when this returns.

    Raises:
        OSError: the directory cannot be written.
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
