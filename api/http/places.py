"""Places that requests hold for a while, of which a tenant gets a few."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Places:
    """Places of one process; thread-safe.

    Args:
        total: number of places of all tenants together; None for no limit.
        each: number of places of one tenant.
    """

    def __init__(self, total: int | None, each: int) -> None:
        self._total = total
        self._each = each
        self._changed = threading.Condition()
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, tenant: str, patience: float) -> Iterator[bool]:
        """Hold a place during the ``with`` block; yield False if none was free in time.

        Args:
            tenant: id of the tenant.
            patience: seconds to wait for a place.
        """
        with self._changed:
            found = self._changed.wait_for(lambda: self._is_free(tenant), patience)
            self._held[tenant] += found
        try:
            yield found
        finally:
            with self._changed:
                self._held[tenant] -= found
                if not self._held[tenant]:
                    del self._held[tenant]
                self._changed.notify_all()

    def _is_free(self, tenant: str) -> bool:
        all_held = self._total is not None and self._held.total() >= self._total
        return not all_held and self._held[tenant] < self._each
