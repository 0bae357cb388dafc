"""Connection settings from the environment: proxies, and certificates for TLS.

Error messages name the environment variable, and omit parts of a proxy's URL that may be secret.
"""

import errno
import os
import ssl
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.request import getproxies, proxy_bypass

import httpx2

_PORTS = 65_536
_EXTENSION = "qrmill.proxy"
#: Environment variables from which certificates and TLS settings are taken.
_TLS_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
_SCHEMES = ("http", "https", "socks5", "socks5h")


class Proxy(NamedTuple):
    """A proxy that the environment sets.

    Attributes:
        source: name of the environment variable, or the system's settings.
        url: URL of the proxy, possibly with a password.
    """

    source: str
    url: str

    def __str__(self) -> str:
        """Return the proxy without user name and password, which are secrets."""
        url = httpx2.URL(self.url)
        return f"through the proxy {url.scheme}://{url.netloc.decode()} of {self.source}"


class EnvironmentTransport(httpx2.BaseTransport):
    """Sends requests directly, or through the proxy that the environment sets for their URL.

    The HTTP library can do this too. But it uses proxies for loopback as well, it rejects every
    request when one of the proxies is unusable, and its errors do not name the proxy.

    Args:
        context: TLS context of all connections.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._direct = httpx2.HTTPTransport(verify=context)
        self._through: dict[Proxy, httpx2.HTTPTransport] = {}

    def check(self, url: httpx2.URL) -> None:
        """Check that the environment does not set an unusable proxy for ``url``.

        Raises:
            ValueError: the proxy for ``url`` is malformed, or of a kind that cannot be used.
        """
        if proxy := find_proxy(url):
            self._transport(proxy)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Return the response to a request.

        Raises:
            TransportError: no response; the message names the proxy if there is one.
            ValueError: the proxy is malformed, or of a kind that cannot be used.
        """
        proxy = find_proxy(request.url)
        if proxy is None:
            return self._direct.handle_request(request)
        try:
            response = self._transport(proxy).handle_request(request)
        except httpx2.TransportError as error:
            raise type(error)(f"{error} ({proxy})".lstrip()) from error
        response.extensions[_EXTENSION] = str(proxy)
        return response

    def close(self) -> None:
        """Close all connections."""
        for transport in (self._direct, *self._through.values()):
            transport.close()

    def _transport(self, proxy: Proxy) -> httpx2.HTTPTransport:
        if proxy not in self._through:
            made = _open_transport(proxy, self._context)
            self._through.setdefault(proxy, made)  # another thread may have been faster
        return self._through[proxy]


def create_tls_context() -> ssl.SSLContext:
    """Return a TLS context with the certificates of the environment, or else of the system.

    Raises:
        ValueError: the certificates cannot be read.
    """
    try:
        if not os.environ.get("SSL_CERT_FILE"):  # takes precedence over the folders
            _check_folders(os.environ.get("SSL_CERT_DIR", ""))
        return httpx2.create_ssl_context()
    except OSError as error:
        given = [f"{name}={os.environ[name]}" for name in _TLS_VARIABLES if os.environ.get(name)]
        advice = f"correct or unset {' and '.join(given)}" if given else "check the system's files"
        reason = error.strerror or error
        raise ValueError(f"the certificates for TLS cannot be read: {reason}; {advice}") from None


def _check_folders(folders: str) -> None:
    """Check that one of the folders exists; OpenSSL treats a missing folder as empty.

    Raises:
        NotADirectoryError: no folder exists.
    """
    if folders and not any(map(os.path.isdir, folders.split(os.pathsep))):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))


def describe_proxy(response: httpx2.Response) -> str:
    """Return the proxy that a response came through, in parentheses; empty without a proxy."""
    proxy = response.extensions.get(_EXTENSION)
    return f" ({proxy})" if proxy else ""


def find_proxy(url: httpx2.URL) -> Proxy | None:
    """Return the proxy that the environment sets for ``url``; always None for loopback."""
    if is_loopback(url.host) or _is_exempt(url):
        return None
    proxies = getproxies()
    for kind in (url.scheme, "all"):
        if found := proxies.get(kind):
            return Proxy(_source(kind), found if "://" in found else f"http://{found}")
    return None


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine: 127.0.0.0/8, ::1, localhost (RFC 6761, 6.3)."""
    try:
        address = ip_address(host)
    except ValueError:
        return f".{host.lower()}".removesuffix(".").endswith(".localhost")
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _is_exempt(url: httpx2.URL) -> bool:
    """Return whether ``NO_PROXY`` exempts a URL: by host, domain, address, network or ``*``."""
    exempt = [entry.strip() for entry in getproxies().get("no", "").split(",")]
    if "*" in exempt:
        return True
    authority = url.netloc.decode()
    return any(_covers(entry, url.host) for entry in exempt) or bool(proxy_bypass(authority))


def _covers(entry: str, host: str) -> bool:
    """Return whether an address or network of ``NO_PROXY`` includes the address ``host``."""
    try:
        return ip_address(host) in ip_network(entry.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return entry.startswith("*.") and host.lower().endswith(entry[1:].lower())


def _source(kind: str) -> str:
    """Return the name of the environment variable that sets the proxy of ``kind``."""
    names = [name for name in os.environ if name.lower() == f"{kind}_proxy" and os.environ[name]]
    # The lower-case name takes precedence, as in `getproxies`.
    return max(names, default="the system's settings")


def _open_transport(proxy: Proxy, context: ssl.SSLContext) -> httpx2.HTTPTransport:
    """Return a transport through a proxy.

    Raises:
        ValueError: the proxy is unusable.
    """
    url = _parse(proxy)
    if url.scheme not in _SCHEMES:
        kinds = ", ".join(f"{scheme}://" for scheme in _SCHEMES)
        raise ValueError(f"{proxy.source} must begin with one of {kinds}, not {url.scheme}://")
    try:
        return httpx2.HTTPTransport(verify=context, proxy=httpx2.Proxy(url))
    except ImportError:
        raise ValueError(
            f"{proxy.source} names a SOCKS proxy, which needs another package: "
            "pip install 'httpx2[socks]'"
        ) from None


def _parse(proxy: Proxy) -> httpx2.URL:
    """Return the URL of a proxy.

    Raises:
        ValueError: the URL is malformed. The error omits the parser's message, which may contain a
            part of a password.
    """
    with suppress(httpx2.InvalidURL):
        url = httpx2.URL(proxy.url)
        if url.raw_host and (url.port is None or 0 < url.port < _PORTS):
            return url
    raise ValueError(
        f"{proxy.source} must be the URL of a proxy, such as http://proxy.example:3128; special "
        "characters of a password must be percent-encoded"
    )
