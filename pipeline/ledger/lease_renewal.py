"""Renewal of a lease in a background thread, while its holder works.

A holder that renews its lease between two steps only loses the lease if one step takes longer than
the lease lasts, for example one request to a slow S3. Another process then does the work again.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from pipeline.errors import LedgerUnavailableError
from pipeline.ledger.ledger import Ledger


@contextmanager
def renewing(
    renew: Callable[[], object], *, lease: int, limit: int
) -> Iterator[Callable[[], None]]:
    """Renew a lease every third of its duration until the block ends.

    A holder that hangs must lose its lease. The lease is therefore no longer renewed once the
    holder has made no progress for ``limit``. A process that is stopped renews nothing, because its
    threads are stopped too.

    Args:
        renew: renews the lease; ``LedgerUnavailableError`` is ignored, because the holder's next
            step reports it.
        lease: duration of the lease in milliseconds.
        limit: milliseconds for which the lease is renewed without progress.

    Yields:
        A function that reports progress.
    """
    renewal = _Renewal(renew, lease / 3000, limit / 1000)
    thread = threading.Thread(target=renewal.run, name="renew lease", daemon=True)
    thread.start()
    try:
        yield renewal.progress
    finally:
        renewal.stopped.set()
        thread.join()  # a late renewal could undo the release of the lease


def release_claim(ledger: Ledger, task_id: str, claimant: str) -> None:
    """Release a claim on a bundle after an error.

    If Redis is unavailable, the claim expires by itself. The original error matters more.
    """
    with suppress(LedgerUnavailableError):
        ledger.renew_claim(task_id, claimant, 0)


class _Renewal:
    def __init__(self, renew: Callable[[], object], interval: float, limit: float) -> None:
        self.stopped = threading.Event()
        self._renew = renew
        self._interval = interval
        self._limit = limit
        self.progress()

    def progress(self) -> None:
        self._until = time.monotonic() + self._limit

    def run(self) -> None:
        while not self.stopped.wait(self._interval):
            if time.monotonic() < self._until:
                with suppress(LedgerUnavailableError):
                    self._renew()
