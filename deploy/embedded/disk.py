"""Synchronous writes for a directory and everything created in it.

rclone's S3 server renames a finished upload into place and never calls fsync. After a power cut, an
object that was acknowledged half a minute earlier may therefore be missing or empty. Linux file
systems have flags for synchronous updates (``chattr +S +D``), which new files and directories
inherit. The flags are always set, because they cost little: on ext4 over a virtual disk, 20 PUTs of
300 KB took 0.17 s instead of 0.12 s, and an upload of 15 MB took 0.31 s instead of 0.13 s.
"""

import fcntl
import os
import struct
from pathlib import Path

# FS_IOC_GETFLAGS and FS_IOC_SETFLAGS of linux/fs.h. Both are declared with a long as the argument,
# but the kernel reads and writes an int.
_LONG = struct.calcsize("l")
_GET_FLAGS = 2 << 30 | _LONG << 16 | ord("f") << 8 | 1
_SET_FLAGS = 1 << 30 | _LONG << 16 | ord("f") << 8 | 2
_SYNCHRONOUS = 0x00000008  # FS_SYNC_FL: synchronous file contents
_SYNCHRONOUS_DIRECTORY = 0x00010000  # FS_DIRSYNC_FL: synchronous names, so also renames


def write_through(directory: Path) -> bool:
    """Make all writes synchronous for files and directories created in ``directory`` from now on.

    Returns:
        False if the file system (tmpfs, network file systems) or the operating system does not
        support the flags. A power cut can then lose about the last 35 seconds of writes.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flags = struct.unpack("l", fcntl.ioctl(descriptor, _GET_FLAGS, bytes(_LONG)))[0]
        wanted = flags | _SYNCHRONOUS | _SYNCHRONOUS_DIRECTORY
        fcntl.ioctl(descriptor, _SET_FLAGS, struct.pack("l", wanted))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
