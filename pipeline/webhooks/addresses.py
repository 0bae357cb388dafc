"""Addresses that a webhook may reach: public ones, and those that the operator allows.

An address is not public if the IANA IPv4 and IPv6 Special-Purpose Address Registries (RFC 6890) do
not list its block as globally reachable. Multicast addresses and the addresses of cloud metadata
services are not public either. In IPv6, only the global unicast space 2000::/3 is public
(RFC 4291, section 2.4).
"""

import socket
from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network (RFC 791)
            "10.0.0.0/8",  # private (RFC 1918)
            "100.64.0.0/10",  # carrier-grade NAT (RFC 6598); Alibaba Cloud's metadata service
            "127.0.0.0/8",  # loopback (RFC 1122)
            "168.63.129.16/32",  # a public address that Azure routes to its own host services
            "169.254.0.0/16",  # link-local (RFC 3927); metadata service of most clouds
            "172.16.0.0/12",  # private (RFC 1918)
            "192.0.0.0/24",  # IETF protocol assignments (RFC 6890); Oracle Cloud's metadata
            "192.0.2.0/24",  # documentation (RFC 5737)
            "192.88.99.0/24",  # 6to4 relays (RFC 7526)
            "192.168.0.0/16",  # private (RFC 1918)
            "198.18.0.0/15",  # benchmarking (RFC 2544)
            "198.51.100.0/24",  # documentation (RFC 5737)
            "203.0.113.0/24",  # documentation (RFC 5737)
            "224.0.0.0/4",  # multicast (RFC 5771)
            "240.0.0.0/4",  # reserved (RFC 1112), with broadcast (RFC 8190)
            "2001::/23",  # IETF protocol assignments (RFC 2928), with Teredo (RFC 4380)
            "2001:db8::/32",  # documentation (RFC 3849)
            "2002::/16",  # 6to4 (RFC 3056), which embeds an IPv4 address
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)
_GLOBAL_UNICAST = IPv6Network("2000::/3")
#: The well-known prefix of NAT64 (RFC 6052, section 2.1), which embeds an IPv4 address.
_NAT64 = IPv6Network("64:ff9b::/96")


class NotReachableError(Exception):
    """Raised when a host has no address, or one that webhooks may not reach."""


def is_public(address: Address) -> bool:
    """Return whether ``address`` is public, regardless of any IPv4 address that it embeds."""
    if address.version == 6 and address not in _GLOBAL_UNICAST:  # noqa: PLR2004 - IP's version
        return False
    return not any(address in network for network in _NOT_PUBLIC)


def may_be_reached(address: Address, allowed: Sequence[Network]) -> bool:
    """Return whether a webhook may be sent to ``address``.

    IPv4-mapped addresses (RFC 4291, section 2.5.5.2) and NAT64 addresses embed an IPv4 address. The
    embedded address is checked instead. An IPv6 address with a zone is never allowed.

    Args:
        address: address of the receiver.
        allowed: networks that may be reached although they are not public.
    """
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        address = _embedded_ipv4(address)
    return is_public(address) or any(address in network for network in allowed)


def resolve(host: str, port: int, allowed: Sequence[Network]) -> list[str]:
    """Return the addresses of ``host``, in the system's order, if all of them may be reached.

    The name is resolved once. The caller must connect to a returned address and not to the name,
    because the name may resolve to another address a moment later (DNS rebinding).

    Raises:
        NotReachableError: the host has no address, or one that may not be reached. The message does
            not state which of the two, so that clients cannot probe for internal host names.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        found = []
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses or not all(
        may_be_reached(ip_address(address), allowed) for address in addresses
    ):
        raise NotReachableError(f"{host} cannot be resolved, or has an address that is not public")
    return addresses


def _embedded_ipv4(address: IPv6Address) -> Address:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address
