"""Terminate a process when its parent dies (Linux ``PR_SET_PDEATHSIG``)."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

#: Operation of <linux/prctl.h>: set the signal that the kernel sends to this process when the
#: thread that created this process ends.
_PR_SET_PDEATHSIG = 1


def load_death_signal() -> Callable[[signal.Signals], None]:
    """Return a function that sets the parent-death signal of the calling process.

    The C library is loaded here, so that the returned function is safe between fork and exec.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def set_death_signal(with_signal: signal.Signals) -> None:
        prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)

    return set_death_signal


def terminate_with_parent(parent: int, with_signal: signal.Signals) -> None:
    """Have the kernel send ``with_signal`` to this process when its parent dies (Linux only).

    Call this early in a child process, on the main thread.

    Args:
        parent: id of the process that created this process. If that process has died before this
            call, this process gets the signal at once.
        with_signal: signal to send.
    """
    if not sys.platform.startswith("linux"):
        return
    load_death_signal()(with_signal)
    if os.getppid() != parent:
        os.kill(os.getpid(), with_signal)
