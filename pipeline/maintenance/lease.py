"""The sweep's lease: of any number of sweep processes, one sweeps."""

import uuid

import redis

from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts

_LEASE = 10_000  # milliseconds


class SweepLease:
    """The lease as one process sees it.

    Args:
        client: decodes responses.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._run = Scripts(client).run
        self._holder = uuid.uuid4().hex

    def hold(self) -> bool:
        """Take the lease, or renew it; return False while another process has it.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        return bool(self._run("hold_lease", [keys.SWEEP], self._holder, _LEASE))
