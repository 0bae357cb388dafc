"""Limits of attempts to sign in to the console, counted in Redis."""

import redis

from pipeline.ledger import keys
from pipeline.ledger.scripts import Scripts

_MINUTE = 60  # seconds
#: Attempts a minute of one address, and of all, so that many addresses are no way around the first.
_OF_ONE, _OF_ALL = 10, 100


class SignInLimit:
    """Counts attempts to sign in, of each address and of all.

    Args:
        client: decodes responses.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._run = Scripts(client).run

    def allow(self, address: str) -> bool:
        """Count an attempt from ``address`` and return whether it may be made.

        An attempt over the limit of its address does not count against that of all.

        Raises:
            LedgerUnavailableError: Redis is out of reach.
        """
        names = [keys.sign_in_attempts(address), keys.SIGN_IN_ATTEMPTS]
        allowed, *_ = self._run("count_request", names, _OF_ONE, _MINUTE, _OF_ALL, _MINUTE)
        return bool(allowed)
