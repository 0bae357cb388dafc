"""Slots of a process for webhooks that are being sent; slow receivers get half of them."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds after which a successful attempt counts as slow.
_SLOW = 2.0
#: Seconds for which a slow or failed attempt is remembered, and the most that are remembered.
_REMEMBERED, _MOST_REMEMBERED = 600.0, 10_000


class Slots:
    """Slots for webhooks, at most one per tenant.

    Tenants whose last attempt was slow or failed share half of the slots.

    Args:
        capacity: number of slots; at least one.
        clock: returns seconds of a clock that never goes back.

    Attributes:
        capacity: number of slots.
    """

    def __init__(self, capacity: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity = capacity
        self._clock = clock
        self._lock = threading.Lock()
        self._busy: dict[str, bool] = {}  # tenants with a slot, and whether they count as slow
        self._slow: dict[str, float] = {}  # tenants, by the end of their slow or failed attempt

    @contextmanager
    def slot(self, tenant: str) -> Iterator["Slot | None"]:
        """Hold a slot for an attempt of ``tenant``; yield None if none is free."""
        slot = Slot() if self._take(tenant) else None
        begun = self._clock()
        try:
            yield slot
        finally:
            if slot is not None:
                self._release(tenant, slot, begun)

    def _take(self, tenant: str) -> bool:
        with self._lock:
            slow = self._clock() - self._slow.get(tenant, float("-inf")) < _REMEMBERED
            full = len(self._busy) >= self.capacity
            over_half = slow and sum(self._busy.values()) >= max(1, self.capacity // 2)
            if tenant in self._busy or full or over_half:
                return False
            self._busy[tenant] = slow
            return True

    def _release(self, tenant: str, slot: "Slot", begun: float) -> None:
        now = self._clock()
        with self._lock:
            del self._busy[tenant]
            if slot.succeeded is None:
                return
            self._slow.pop(tenant, None)
            if not slot.succeeded or now - begun > _SLOW:
                if len(self._slow) >= _MOST_REMEMBERED:
                    del self._slow[next(iter(self._slow))]
                self._slow[tenant] = now


class Slot:
    """A slot in use.

    Attributes:
        succeeded: whether the attempt succeeded; None if none was made.
    """

    succeeded: bool | None = None
