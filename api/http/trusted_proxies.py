"""Proxies whose word about a client's address is trusted: those that gunicorn trusts."""

import ipaddress
from dataclasses import dataclass

#: Gunicorn's own default for its setting ``forwarded_allow_ips``.
THIS_MACHINE = "127.0.0.1,::1"


@dataclass(frozen=True)
class TrustedProxies:
    """The proxies of ``FORWARDED_ALLOW_IPS``, which gunicorn reads and checks.

    Gunicorn uses the variable for ``X-Forwarded-Proto`` and does not pass it on to the application,
    so this parses the same value in the same way.

    Args:
        allowed: addresses and networks, with commas between them, or ``*`` for all.
    """

    allowed: str = THIS_MACHINE

    def trusts(self, address: str) -> bool:
        """Return whether ``address`` is that of a trusted proxy; empty for a Unix socket's peer."""
        words = [word.strip() for word in self.allowed.split(",") if word.strip()]
        if not address or "*" in words:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in ipaddress.ip_network(word) for word in words)
