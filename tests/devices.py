"""Character devices for tests that write to them."""

import os
import stat
from pathlib import Path


def device(name: str, folder: Path) -> Path:
    """Return a device that does what ``/dev/name`` does.

    Root could replace the machine's own device, which is what a test of a regression does. Root
    therefore gets a device of the same number in ``folder``.
    """
    own = Path("/dev") / name
    if not os.access(own.parent, os.W_OK):
        return own
    path = folder / name
    os.mknod(path, stat.S_IFCHR | 0o666, own.stat().st_rdev)
    return path
