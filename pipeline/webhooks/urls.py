"""Parser of callback URLs. It resolves no names and sends nothing.

The same parser is used when a request is accepted and when its webhook is sent, so that both agree
on which host a URL names.
"""

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from pipeline.settings import Settings
from pipeline.webhooks.addresses import Address, Network, may_be_reached
from render.errors import InvalidValueError, shown

MAX_LENGTH = 2000
#: Ports below this one are system ports (RFC 6335, section 6).
_FIRST_USER_PORT = 1024
_DEFAULT_PORTS = {"https": 443, "http": 80}

#: The characters of a URI (RFC 3986, appendix A).
_URI = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
#: An authority without userinfo (RFC 3986, section 3.2); brackets may only enclose IPv6 addresses.
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|[^\[\]:]*)(:[0-9]*)?")
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*\.?")
#: A host that some parsers read as an IPv4 address (URL Standard, "ends in a number checker").
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")


class CallbackRules(NamedTuple):
    """Rules for callback URLs.

    Attributes:
        http: whether plain HTTP is allowed besides HTTPS.
        networks: networks that may be reached although they are not public.
    """

    http: bool = False
    networks: tuple[Network, ...] = ()


class CallbackUrl(NamedTuple):
    """A parsed callback URL.

    Attributes:
        host: host name, or IP address without brackets.
        target: path and query, as sent in the request.
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
    """Return the rules for callback URLs from the settings.

    Raises:
        SettingsError: one of the allowed networks is malformed.
    """
    return CallbackRules(settings.callback_http, settings.allowed_networks())


def parse_callback_url(text: str, rules: CallbackRules) -> CallbackUrl:
    """Parse a callback URL and check it against ``rules``.

    Raises:
        InvalidValueError: the URL is malformed or not allowed.
    """
    if len(text) > MAX_LENGTH:
        raise InvalidValueError(
            "length",
            f"A callback URL may have at most {MAX_LENGTH} characters; this one has {len(text)}.",
        )
    if not _URI.fullmatch(text):
        raise _invalid("character", text, "must be an absolute URL in percent-encoded ASCII")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise _invalid("host", text, "has no valid host and port") from None
    _check_form(text, parts, rules)
    _check_host(text, host, rules)
    if port is None:
        port = _DEFAULT_PORTS[parts.scheme]
    if port != _DEFAULT_PORTS[parts.scheme] and port < _FIRST_USER_PORT:
        usual = _DEFAULT_PORTS[parts.scheme]
        raise _invalid(
            "port", text, f"has a port that is not allowed: use {usual}, or a port from 1024 on"
        )
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return CallbackUrl(parts.scheme, host, port, target)


def _check_form(text: str, parts: SplitResult, rules: CallbackRules) -> None:
    schemes = ("https", "http") if rules.http else ("https",)
    if parts.scheme not in schemes:
        raise _invalid("scheme", text, f"must begin with {' or '.join(schemes)}://")
    if "@" in parts.netloc:
        unsafe = "must not contain a user name or password; webhooks are signed instead"
        raise _invalid("userinfo", text, unsafe)
    if not _AUTHORITY.fullmatch(parts.netloc):
        raise _invalid("host", text, "has no valid host and port")
    if "#" in text:
        raise _invalid("fragment", text, "must not have a fragment, which would not be sent")


def _check_host(text: str, host: str, rules: CallbackRules) -> None:
    literal = _literal(host)
    if literal is not None:
        if not may_be_reached(literal, rules.networks):
            raise _invalid("address", text, "has an IP address that is not public")
    elif not _NAME.fullmatch(host) or _ENDS_IN_NUMBER.fullmatch(host):
        wanted = "must have a domain name or an IP address in standard notation as its host"
        raise _invalid("host", text, wanted)


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _invalid(code: str, text: str, reason: str) -> InvalidValueError:
    return InvalidValueError(code, f"{shown(text)} {reason}.")
