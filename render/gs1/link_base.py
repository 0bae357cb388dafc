"""The beginning of Digital Link URIs: scheme, host, optional port and optional path.

Source: GS1 Digital Link Standard: URI Syntax, section 4 (``customURIstem``), RFC 3986, and the URL
Standard (WHATWG) for what browsers change. The base is printed on every label.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import unquote

from render.errors import InvalidValueError, shown

#: The characters of a URI (RFC 3986, appendix A). Two hexadecimal digits follow each percent sign.
_URI = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
_SCHEMES = ("https://", "http://")
_AUTHORITY = re.compile(
    r"(?:\[(?P<literal>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+))(?P<port>:[0-9]+)?"
)
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
#: A host that browsers read as an IPv4 address (URL Standard, "ends in a number checker").
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")
_MAX_PORT = 65_535
#: Application identifiers of primary identification keys. For a parser, the first of them in a path
#: is the beginning of the Digital Link.
_PRIMARY_KEYS = frozenset(
    {"00", "01", "253", "255", "401", "402", "414", "417"}
    | {"8003", "8004", "8006", "8010", "8013", "8017", "8018"}
)
#: Largest number of characters of a base. A QR symbol has room for about 4000 of a whole URI.
MAX_LINK_BASE = 500
_DOTS = frozenset({".", ".."})


def check_link_base(base: str) -> None:
    """Check that Digital Link URIs may begin with ``base``.

    Raises:
        InvalidValueError: the base breaks a rule. The detail contains the base, but no user name
            and password.
    """
    for code, reason in _violations(base):
        raise InvalidValueError(code, f"{shown_base(base)} {reason}")


def shown_base(base: str) -> str:
    """Return a base as an error shows it: without user name and password."""
    return shown(f"…@{base.rpartition('@')[2]}" if "@" in base else base)


def _violations(base: str) -> Iterator[tuple[str, str]]:
    scheme = next(filter(base.startswith, _SCHEMES), None)
    authority, slash, path = base[len(scheme or "") :].partition("/")
    if "@" in authority:
        yield "userinfo", "has a user name or password, which every label would show: remove it."
    if not _URI.fullmatch(base):
        wanted = "percent-encode each one, such as a space as %20"
        yield "character", f"has characters that a URI cannot have: {wanted}."
    if scheme is None:
        yield "scheme", "must begin with https:// or http://, in lower case."
    if "?" in base or "#" in base:
        yield "query", "must have no query and no fragment: the service adds the query."
    if not is_authority(authority):
        yield "host", "has no valid host and port: write them as https://host or https://host:port."
    if slash and base.endswith("/"):
        yield "slash", "must not end in a slash: remove the trailing slash."
    yield from _path_violations(path)


def is_authority(text: str) -> bool:
    """Return whether ``text`` is a host with an optional port, as browsers understand it."""
    parts = _AUTHORITY.fullmatch(text)
    if parts is None or (parts["port"] and not 0 < int(parts["port"][1:]) <= _MAX_PORT):
        return False
    name = parts["name"]
    if name and not _ENDS_IN_NUMBER.fullmatch(name):
        return _NAME.fullmatch(name) is not None
    return _is_address(name or parts["literal"], 4 if name else 6)


def _is_address(text: str, version: int) -> bool:
    try:
        return ip_address(text).version == version
    except ValueError:
        return False


def _path_violations(path: str) -> Iterator[tuple[str, str]]:
    segments = [unquote(segment) for segment in path.split("/")]
    if re.search(r"[\[\]]", path):
        yield "character", "has a bracket in its path: percent-encode it as %5B or %5D."
    if not _DOTS.isdisjoint(segments):
        yield "dot_segment", "has a segment . or .., which browsers remove: remove it."
    for segment in segments:
        if segment in _PRIMARY_KEYS:
            added = "the service adds /01/ and the GTIN"
            yield "key_segment", f"has the segment {segment} of a GS1 key: remove it; {added}."
