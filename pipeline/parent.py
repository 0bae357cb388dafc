"""The kernel's help against orphans."""

import ctypes
import os
import signal
import sys

#: From <linux/prctl.h>: the signal a process gets when the thread that made it ends.
_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int, with_signal: signal.Signals) -> None:
    """Have the kernel send ``with_signal`` to this process when its parent dies, on Linux.

    To be called early in a child process, on its main thread.

    Args:
        parent: the parent's process id as it was when it made this process, so that one that died
            before the call is noticed as well.
        with_signal: what to send.
    """
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, with_signal)
    if os.getppid() != parent:
        os.kill(os.getpid(), with_signal)
