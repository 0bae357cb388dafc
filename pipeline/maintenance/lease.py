"""Lease of the sweep, which lets only one sweep process be active at a time."""

import uuid

import redis

from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts

_LEASE = 10_000  # milliseconds


class SweepLease:
    """The sweep's lease, from the view of one process.

    Args:
        client: Redis client that decodes responses.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._run = Scripts(client).run
        self._holder = uuid.uuid4().hex

    def hold(self) -> bool:
        """Acquire or renew the lease; return False while another process holds it.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        return bool(self._run("hold_lease", [keys.SWEEP], self._holder, _LEASE))
