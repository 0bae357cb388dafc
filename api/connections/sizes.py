"""Number of threads and connections of an API process."""

#: Threads in addition to those in which long polls wait for a job's end.
_WORKING_THREADS = 16
#: Connections that are idle or wait for a thread.
_WAITING = 1000


def threads(long_polls: int) -> int:
    """Return the number of threads that take complete requests."""
    return _WORKING_THREADS + long_polls


def wanted_connections(long_polls: int) -> int:
    """Return the maximum number of connections, without a limit on open files."""
    return threads(long_polls) + _WAITING
