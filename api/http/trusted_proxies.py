"""Which proxies are believed when they say whom a request is from: those that gunicorn believes."""

import ipaddress
from dataclasses import dataclass

#: Gunicorn's own default for its setting ``forwarded_allow_ips``.
THIS_MACHINE = "127.0.0.1,::1"


@dataclass(frozen=True)
class Proxies:
    """The proxies of ``FORWARDED_ALLOW_IPS``, which gunicorn reads and checks.

    Gunicorn goes by it for ``X-Forwarded-Proto``, and does not tell the application; so this reads
    the same words in the same way.

    Args:
        allowed: addresses and networks, with commas between them, or ``*`` for all.
    """

    allowed: str = THIS_MACHINE

    def believed(self, address: str) -> bool:
        """Return whether the one at ``address`` is a proxy of ours; nobody else has a socket's."""
        words = [word.strip() for word in self.allowed.split(",") if word.strip()]
        if not address or "*" in words:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in ipaddress.ip_network(word) for word in words)
