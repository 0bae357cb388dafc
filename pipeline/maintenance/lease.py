"""Lease of the sweep, which lets only one sweep process be active at a time."""

import uuid

import redis

from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts

LEASE = 10_000  # milliseconds


class SweepLease:
    """The sweep's lease, from the view of one process.

    Args:
        client: Redis client that decodes responses.

    Attributes:
        held: whether this process had the lease when :meth:`hold` was last called.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._run = Scripts(client).run
        self._holder = uuid.uuid4().hex
        self.held = False

    def hold(self) -> bool:
        """Acquire or renew the lease; return False while another process holds it.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        self.held = bool(self._run("hold_lease", [keys.SWEEP], self._holder, LEASE))
        return self.held
