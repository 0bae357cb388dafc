"""Limit on open files (``RLIMIT_NOFILE``), and the number of connections that it permits."""

import resource

#: Open files of an API process that are not clients' connections: to Redis, S3 and the broker,
#: sockets on which it listens, and logs.
RESERVED = 256


def raise_limit() -> int:
    """Raise this process's soft limit on open files to its hard limit; return the limit in effect.

    The usual soft limit of a shell and of systemd is 1024, for programs that use select(2), which
    fails beyond it. The API uses epoll.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):  # a sandbox forbids it
        return soft
    return hard


def connections_within(open_files: int, wanted: int) -> int:
    """Return how many connections of clients a process can hold.

    Args:
        open_files: limit on open files of the process; -1 stands for no limit.
        wanted: number of connections without a limit.
    """
    if open_files == resource.RLIM_INFINITY:
        return wanted
    return min(wanted, max(open_files - RESERVED, open_files // 2))
