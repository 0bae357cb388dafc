"""Callback URLs: what one may look like. Nothing is resolved or sent here.

The same reading is used when a request is accepted and when its callback is sent, so that there is
no second opinion about which host a URL names.
"""

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from pipeline.settings import Settings
from pipeline.webhooks.addresses import Address, Network, may_be_reached
from render.errors import InvalidValueError, shown

MAX_LENGTH = 2000
#: Ports below this one belong to a system's own services (RFC 6335, section 6).
_LEAST_OTHER_PORT = 1024
_DEFAULT_PORTS = {"https": 443, "http": 80}

#: The characters of a URI (RFC 3986, appendix A).
_URI = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
#: An authority without userinfo (RFC 3986, section 3.2); brackets are for IPv6 addresses alone.
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|[^\[\]:]*)(:[0-9]*)?")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
#: To some readers an IPv4 address (URL Standard, "ends in a number checker").
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")


class CallbackRules(NamedTuple):
    """What a service allows of callback URLs: plain http, and networks that are not public."""

    http: bool = False
    networks: tuple[Network, ...] = ()


class CallbackUrl(NamedTuple):
    """A callback URL taken apart.

    Attributes:
        host: a name, or an address without brackets.
        target: path and query as they are sent.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The value of the Host header (RFC 9110, section 7.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def callback_rules(settings: Settings) -> CallbackRules:
    """Return what ``settings`` allow of callback URLs.

    Raises:
        SettingsError: one of the networks is not one.
    """
    return CallbackRules(settings.callback_http, settings.allowed_networks())


def parse_callback_url(text: str, rules: CallbackRules) -> CallbackUrl:
    """Return the parts of a callback URL.

    Raises:
        InvalidValueError: it is not one that this service would call.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidValueError(
            "length", f"A callback URL has at most {MAX_LENGTH} characters; this one {len(text)}."
        )
    if not _URI.fullmatch(text):
        raise _wrong("character", text, "has to be an absolute URL in ASCII, percent-encoded")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _wrong("host", text, "has no host and port that can be read") from None
    _check_form(text, parts, rules)
    _check_host(text, host, rules)
    if port is None:
        port = _DEFAULT_PORTS[parts.scheme]
    if port != _DEFAULT_PORTS[parts.scheme] and port < _LEAST_OTHER_PORT:
        usual = _DEFAULT_PORTS[parts.scheme]
        raise _wrong("port", text, f"has a port that is neither {usual} nor 1024 or above")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return CallbackUrl(parts.scheme, host, port, target)


def _check_form(text: str, parts: SplitResult, rules: CallbackRules) -> None:
    schemes = ("https", "http") if rules.http else ("https",)
    if parts.scheme not in schemes:
        raise _wrong("scheme", text, f"has to begin with {' or '.join(schemes)}://")
    if "@" in parts.netloc:
        raise _wrong("userinfo", text, "must not carry a user or password; a signature proves us")
    if not _AUTHORITY.fullmatch(parts.netloc):
        raise _wrong("host", text, "has no host and port that can be read")
    if "#" in text:
        raise _wrong("fragment", text, "must not have a fragment; it would not be sent")


def _check_host(text: str, host: str, rules: CallbackRules) -> None:
    literal = _literal(host)
    if literal is not None:
        if not may_be_reached(literal, rules.networks):
            raise _wrong("address", text, "names an address that is not public")
    elif not _NAME.fullmatch(host) or _ENDS_IN_NUMBER.fullmatch(host):
        wanted = "has to name a host: a domain name, or an address in its usual form"
        raise _wrong("host", text, wanted)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _wrong(code: str, text: str, reason: str) -> InvalidValueError:
    return InvalidValueError(code, f"{shown(text)} {reason}.")
