"""Proxies that are trusted to report a client's address; gunicorn trusts the same proxies."""

import ipaddress
import re
from dataclasses import dataclass
from functools import cached_property

#: Gunicorn's default for its setting ``forwarded_allow_ips``.
THIS_MACHINE = "127.0.0.1,::1"
#: Prefix length of the smallest IPv6 network that a site gets (RFC 6177). A client can use any
#: address of its network.
_IPV6_SITE = 64
#: An address with a port, as some proxies write it into ``X-Forwarded-For``.
_WITH_PORT = re.compile(r"\[(?P<v6>[^]]+)\](?::\d+)?|(?P<v4>[\d.]+):\d+")


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
        if not address or self._everyone:
            return True
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._networks)

    def client(self, peer: str, forwarded_for: str) -> str:
        """Return the address of the client that a connection or a request comes from.

        Behind a trusted proxy, this is the last address of ``X-Forwarded-For``, which the proxy
        added. The addresses before it may be forged by the client.

        Args:
            peer: address of the peer; empty for a Unix socket.
            forwarded_for: value of ``X-Forwarded-For``; empty if the request has none.
        """
        if self.trusts(peer):
            return _last_address(forwarded_for) or peer
        return peer

    @property
    def _words(self) -> list[str]:
        return [word.strip() for word in self.allowed.split(",") if word.strip()]

    @cached_property
    def _everyone(self) -> bool:
        return "*" in self._words

    @cached_property
    def _networks(self) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        return [ipaddress.ip_network(word) for word in self._words]


def network_of(address: str) -> str:
    """Return the network that stands for a client: an IPv4 address, or the /64 of an IPv6 address.

    Text that is not an address is returned unchanged.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address) or found.ipv4_mapped is not None:
        return str(getattr(found, "ipv4_mapped", None) or found)
    return str(ipaddress.ip_network((found, _IPV6_SITE), strict=False))


def _last_address(forwarded_for: str) -> str:
    last = forwarded_for.rpartition(",")[2].strip()
    match = _WITH_PORT.fullmatch(last)
    if match is not None:
        last = match["v6"] or match["v4"]
    try:
        return str(ipaddress.ip_address(last))
    except ValueError:  # not an address: the request counts for the proxy
        return ""
