"""Origins of web pages, in the form in which browsers send them (RFC 6454, section 6.2)."""

import re
from ipaddress import ip_address

from render.gs1.link_base import is_authority

_ORIGIN = re.compile(r"(https?)://((?:\[([0-9a-f:.]+)\]|[a-z0-9._-]+)(?::([1-9][0-9]*))?)")
_DEFAULT_PORTS = {"https": "443", "http": "80"}


def parse_origins(text: str) -> frozenset[str]:
    """Return the origins in ``text``, which are separated by spaces.

    Raises:
        ValueError: one of them is not an origin as a browser sends it, and would never match.
    """
    origins = frozenset(text.split())
    for origin in sorted(origins):
        if not _is_origin(origin):
            raise ValueError(
                f"{origin.rpartition('@')[2]!r} is not an exact origin; write scheme://host or "
                "scheme://host:port as browsers send it, such as https://app.example.com: http or "
                "https, in lower case, without a path, a wildcard or the scheme's default port; "
                "and separate several by spaces"
            )
    return origins


def _is_origin(text: str) -> bool:
    parts = _ORIGIN.fullmatch(text)
    if parts is None:
        return False
    scheme, authority, literal, port = parts.groups()
    canonical = literal is None or _is_canonical(literal)
    return canonical and port != _DEFAULT_PORTS[scheme] and is_authority(authority)


def _is_canonical(literal: str) -> bool:
    try:
        return str(ip_address(literal)) == literal
    except ValueError:
        return False
