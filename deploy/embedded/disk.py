"""A folder whose files are written through to the disk.

rclone's S3 server renames a finished upload into place and never calls fsync: after a power cut
an object that was acknowledged half a minute before may be missing or empty. Linux file systems
can be told to write a folder through (``chattr +S +D``); what is made inside inherits it. Measured
on ext4 over a virtual disk: 20 PUTs of 300 KB took 0.17 s instead of 0.12 s, an upload of 15 MB
0.31 s instead of 0.13 s, so this is always on.
"""

import fcntl
import os
import struct
from pathlib import Path

# linux/fs.h: FS_IOC_GETFLAGS, FS_IOC_SETFLAGS (of a long, of which the kernel uses an int)
_LONG = struct.calcsize("l")
_GET_FLAGS = 2 << 30 | _LONG << 16 | ord("f") << 8 | 1
_SET_FLAGS = 1 << 30 | _LONG << 16 | ord("f") << 8 | 2
_SYNCHRONOUS = 0x00000008  # FS_SYNC_FL: file contents
_SYNCHRONOUS_DIRECTORY = 0x00010000  # FS_DIRSYNC_FL: names, so renames


def write_through(directory: Path) -> bool:
    """Have everything made inside ``directory`` from now on written through to the disk.

    Returns:
        False if the file system (tmpfs, network file systems) or the system cannot do it: then a
        power cut can take what was written in about the last 35 seconds.
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
