"""Destinations of a bundle: files, FIFOs and character devices."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 20  # bytes
#: Destination of a bundle: a path, or a file opened in binary mode.
BundleTarget = str | os.PathLike[str] | BinaryIO


def part_of(path: Path) -> Path:
    """Return the path of the ``.part`` file of an unfinished download to ``path``."""
    return path.with_name(f"{path.name}.part")


def check_target(target: str | os.PathLike[str]) -> None:
    """Check that a bundle can be written to the path ``target``, without changing anything.

    Raises:
        OSError: no bundle can be written to the path. The path may be a directory, a socket or a
            block device. The folder may not exist, or may deny write access. The name of the
            ``.part`` file may be in use by something other than a regular file.
    """
    path = Path(target)
    if os.fspath(target).endswith("/"):  # a trailing slash, which Path omits
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(target))
    if _is_stream(path):
        _check_access(path, os.W_OK)
        return
    file = _follow(path)
    if not file.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(file.parent))
    _check_access(file.parent, os.W_OK | os.X_OK)
    part = part_of(file)
    kind = _kind(part, follow=False)
    if kind is not None and kind != stat.S_IFREG:
        raise FileExistsError(
            errno.EEXIST, "is not a regular file, but the download needs this name", str(part)
        )
    if kind:
        _check_access(part, os.R_OK | os.W_OK)


@contextmanager
def open_target(target: BundleTarget) -> Iterator[Path | BinaryIO]:
    """Open the destination of a bundle for the block.

    For a regular file, the context manager yields its path with symbolic links followed. For any
    other destination, it yields an open file. As with a shell's redirection, opening a FIFO waits
    for a reader.

    Raises:
        OSError: a bundle cannot be written to ``target``.
    """
    if not isinstance(target, (str, os.PathLike)):
        yield target
        return
    check_target(target)
    path = Path(target)
    if not _is_stream(path):
        yield _follow(path)
        return
    # Unbuffered: after a write error, closing a buffered file would fail too, without a file name.
    with open(path, "wb", buffering=0, opener=_open_existing) as file:
        yield file


def copy_to_stream(file: Path, stream: BinaryIO) -> None:
    """Write the contents of ``file`` to ``stream``.

    Raises:
        OSError: the stream cannot be written; the error contains the stream's name.
    """
    with file.open("rb") as source:
        try:
            while block := source.read(_BLOCK):
                left = memoryview(block)
                while left:  # a raw file may write only a part
                    left = left[stream.write(left) :]
            stream.flush()
        except OSError as error:
            error.filename = error.filename or getattr(stream, "name", None)
            raise


def _is_stream(path: Path) -> bool:
    """Return whether ``path`` is a FIFO or character device, or a file without a name.

    Raises:
        OSError: the path is neither a stream nor a regular file.
    """
    kind = _kind(path)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if kind in {stat.S_IFIFO, stat.S_IFCHR}:
        return True
    if kind not in {None, stat.S_IFREG}:
        raise OSError(errno.EINVAL, "is neither a file, a FIFO nor a character device", str(path))
    # /dev/fd/3 may be an open file that was deleted.
    return kind == stat.S_IFREG and not _follow(path).exists()


def _open_existing(path: str, flags: int) -> int:
    # Linux denies O_CREAT on another user's FIFO in /tmp (sysctl fs.protected_fifos).
    return os.open(path, flags & ~os.O_CREAT)


def _follow(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _kind(path: Path, *, follow: bool = True) -> int | None:
    """Return the type bits of a path's mode; None if the path does not exist."""
    try:
        return stat.S_IFMT(path.stat(follow_symlinks=follow).st_mode)
    except FileNotFoundError:
        return None


def _check_access(path: Path, mode: int) -> None:
    if not os.access(path, mode):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
