"""Loopback addresses, which no HTTP proxy of the environment can reach."""

from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit


def is_loopback(url: str) -> bool:
    """Return whether the host of a URL is this machine, by its address or by its name.

    Names are not resolved: only ``localhost`` and the names below it are loopback by definition
    (RFC 6761, section 6.3). The unspecified address counts as well, because a connection to it
    reaches this machine.
    """
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback or address.is_unspecified


def proxies_for(url: str | None) -> dict[str, str] | None:
    """Return the argument ``proxies`` of a botocore ``Config`` for an endpoint.

    Without proxies for loopback addresses, and otherwise None, with which botocore uses the proxies
    of the environment (``HTTP_PROXY``, ``HTTPS_PROXY``, ``NO_PROXY``).
    """
    return {} if url is not None and is_loopback(url) else None
