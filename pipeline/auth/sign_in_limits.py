"""Limits on attempts to sign in to the console, counted in Redis."""

import redis

from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts

_MINUTE = 60  # seconds
#: Maximum attempts per minute from one address, and from all addresses together. The second limit
#: applies to an attacker who uses many addresses.
_PER_ADDRESS, _OVERALL = 10, 100


class SignInLimit:
    """Limit on sign-in attempts, per address and overall.

    Args:
        client: Redis client that decodes responses.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._run = Scripts(client).run

    def allow(self, address: str) -> bool:
        """Count an attempt from ``address`` and return whether it is allowed.

        An attempt over the limit of its address does not count against the overall limit.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        names = [keys.sign_in_attempts(address), keys.SIGN_IN_ATTEMPTS]
        allowed, *_ = self._run("count_request", names, _PER_ADDRESS, _MINUTE, _OVERALL, _MINUTE)
        return bool(allowed)
