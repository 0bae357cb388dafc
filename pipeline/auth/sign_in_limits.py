"""Limits on wrong attempts to sign in to the console, counted in Redis."""

import redis

from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts

_MINUTE = 60  # seconds
#: Maximum wrong attempts per minute from one network, and from all networks together. The second
#: limit applies to an attacker who uses many networks.
_PER_NETWORK, _OVERALL = 10, 100


class SignInLimit:
    """Limit on wrong sign-in attempts, per client network and overall.

    The right key always signs in: otherwise a stranger could lock out the operators, by wrong
    attempts from addresses of their own, or through the same proxy.

    Args:
        client: Redis client that decodes responses.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._run = Scripts(client).run

    def count_wrong(self, network: str) -> bool:
        """Count a wrong attempt from a network and return whether it is within the limits.

        An attempt over the limit of its network does not count against the overall limit.

        Raises:
            LedgerUnavailableError: Redis is unreachable.
        """
        names = [keys.sign_in_attempts(network), keys.SIGN_IN_ATTEMPTS]
        allowed, *_ = self._run("count_request", names, _PER_NETWORK, _MINUTE, _OVERALL, _MINUTE)
        return bool(allowed)
