"""Proxies that are trusted to report a client's address; gunicorn trusts the same proxies."""

import ipaddress
from dataclasses import dataclass

#: Gunicorn's default for its setting ``forwarded_allow_ips``.
THIS_MACHINE = "127.0.0.1,::1"


@dataclass(frozen=True)
class TrustedProxies:
    """The proxies that the environment variable ``FORWARDED_ALLOW_IPS`` lists.

    Gunicorn reads and validates the variable for ``X-Forwarded-Proto`` but does not pass the value
    to the application. This class parses the same value in the same way.

    Args:
        allowed: addresses and networks, separated by commas, or ``*`` for all.
    """

    allowed: str = THIS_MACHINE

    def trusts(self, address: str) -> bool:
        """Return whether a connection comes from a trusted proxy.

        Args:
            address: address of the peer; empty for a Unix socket, whose peers are all trusted.
        """
        words = [word.strip() for word in self.allowed.split(",") if word.strip()]
        if not address or "*" in words:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in ipaddress.ip_network(word) for word in words)
