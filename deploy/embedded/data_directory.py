"""The data directory: accessible only to its owner, with a path that every server accepts."""

import os
from pathlib import Path

from deploy.embedded.files import make_private_directory

#: Linux limits a path to 4095 bytes (limits.h, ``PATH_MAX``). Inside the data directory, the
#: longest path has less than 500 bytes: that of a staged symbol while rclone writes the symbol.
_MAX_BYTES = 3500


class DataDirectoryError(Exception):
    """Raised when a data directory cannot be used; the message gives the reason and the fix."""


def open_data_directory(path: Path) -> Path:
    """Create a data directory if it does not exist, and return its absolute path.

    Raises:
        DataDirectoryError: the path is not UTF-8 or too long.
        OSError: the directory cannot be created.
    """
    absolute = path.absolute()
    encoded = os.fsencode(absolute)
    try:
        encoded.decode()
    except UnicodeDecodeError:
        shown = encoded.decode(errors="backslashreplace")
        raise DataDirectoryError(
            f"The path of the data directory is not UTF-8: {shown}. Rename the directory, or "
            "choose another one with --data-dir."
        ) from None
    if len(encoded) > _MAX_BYTES:
        raise DataDirectoryError(
            f"The path of the data directory has {len(encoded)} bytes, but at most {_MAX_BYTES} "
            "are possible. Choose another one with --data-dir."
        )
    return make_private_directory(absolute)
