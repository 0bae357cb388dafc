"""Terminate a process when its parent dies (Linux ``PR_SET_PDEATHSIG``)."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

#: From <linux/prctl.h>: the signal that a process gets when the thread that created it ends.
_PR_SET_PDEATHSIG = 1


def load_death_signal() -> Callable[[signal.Signals], None]:
    """Return a function that sets the signal which the calling process gets when its parent dies.

    The C library is looked up here, so that the function may be called between fork and exec.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def set_death_signal(with_signal: signal.Signals) -> None:
        prctl(_PR_SET_PDEATHSIG, int(with_signal), 0, 0, 0)

    return set_death_signal


def terminate_with_parent(parent: int, with_signal: signal.Signals) -> None:
    """Have the kernel send ``with_signal`` to this process when its parent dies, on Linux.

    To be called early in a child process, on its main thread.

    Args:
        parent: the parent's process id as it was when it made this process, so that one that died
            before the call is noticed as well.
        with_signal: what to send.
    """
    if not sys.platform.startswith("linux"):
        return
    load_death_signal()(with_signal)
    if os.getppid() != parent:
        os.kill(os.getpid(), with_signal)
