"""Clients of Redis by URL: of one server, with or without TLS, or of the master Sentinels name.

=============================================================  ===================================
URL                                                            names
=============================================================  ===================================
``redis://user:password@host:6379/0``                          one server
``rediss://user:password@host:6379/0``                         the same over TLS
``unix://user:password@/path/to/socket?db=0``                  one server on this machine
``redis+sentinel://user:password@host:26379,host/service/0``   the master of ``service``, as any of
                                                               the Sentinels named says
``rediss+sentinel://…``                                        the same, all of it over TLS
=============================================================  ===================================

The query has the parameters of redis-py's connections, such as ``ssl_ca_certs``; user and password
are the server's. Sentinels that ask for some of their own get ``sentinel_username`` and
``sentinel_password`` of the query.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

from pipeline.errors import LedgerUnavailableError, NewerVersionError

_SERVER = ("redis", "rediss", "unix")
_SENTINEL = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
#: IANA has no port for Sentinel; this is what its own configuration begins with.
_SENTINEL_PORT = 26379
#: Seconds that one Sentinel has: another may answer while it does not.
_SENTINEL_SECONDS = 1.0
#: Seconds that a connection is silent before the kernel asks for a sign of life, seconds until it
#: asks again, and how often it asks.
_IDLE, _PROBE_INTERVAL, _PROBES = 30, 5, 3
#: What the error of a script begins with that met a newer release's entry.
NEWER_MARK = "NEWER"
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_FORMS = (
    "redis://host:port or rediss://host:port (TLS), unix:///path, or "
    "redis+sentinel://host:port,host:port/service (rediss+sentinel:// for TLS)"
)


class RedisUrlError(ValueError):
    """A URL names no Redis; the message says what is wrong, and no password."""


class SentinelUrl(NamedTuple):
    """A URL with Sentinels, taken apart.

    Attributes:
        hosts: host and port of each Sentinel.
        service: what they call the group of servers.
        server: options of a connection to its master, as redis-py takes them.
        own: options of a connection to a Sentinel.
    """

    hosts: tuple[tuple[str, int], ...]
    service: str
    server: dict[str, Any]
    own: dict[str, Any]

    def sentinel(self) -> Sentinel:
        """Return redis-py's view of the Sentinels, each of whom is asked once."""
        own = {**self.own, "socket_timeout": _SENTINEL_SECONDS, "retry": Retry(NoBackoff(), 0)}
        own["socket_connect_timeout"] = _SENTINEL_SECONDS
        return Sentinel(self.hosts, sentinel_kwargs=own)  # type: ignore[no-untyped-call] # no types here

    def clients(self) -> list[redis.Redis]:
        """Return a client of each Sentinel."""
        found: list[redis.Redis] = self.sentinel().sentinels
        return found


def open_redis(url: str, *, timeout: float, decode: bool = False) -> redis.Redis:
    """Return a client that fails at once rather than retry behind the caller's back.

    Behind Sentinels it asks them for the master at every new connection, and closes those it has
    when that one answers that it is none any more.

    Its connections end when the network is silent: one that only listens within a minute, and one
    that has sent something within ``timeout``. Else the kernel would still send a command that was
    given up when the network is back, and a fetch would be carried out for nobody.

    Args:
        url: one of the forms above.
        timeout: seconds to wait for a connection or an answer.
        decode: True for text, False for bytes.

    Raises:
        RedisUrlError: it has none of these forms.
    """
    retry = Retry(NoBackoff(), 0)
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "decode_responses": decode,
        **_silence(url, timeout),
    }
    parts = parse_sentinel_url(url)
    if parts is None:
        return redis.Redis.from_url(url, retry=retry, **options)
    options |= parts.server
    client = parts.sentinel().master_for(parts.service, retry=retry, **options)  # type: ignore[no-untyped-call] # nor here
    return cast("redis.Redis", client)


def _silence(url: str, timeout: float) -> dict[str, Any]:
    """Return the options that end a silent connection (RFC 9293, 3.8.4; RFC 5482)."""
    if url.startswith("unix:") or not sys.platform.startswith("linux"):
        return {}
    return {
        "socket_keepalive_options": {
            socket.TCP_KEEPIDLE: _IDLE,
            socket.TCP_KEEPINTVL: _PROBE_INTERVAL,
            socket.TCP_KEEPCNT: _PROBES,
            socket.TCP_USER_TIMEOUT: int(timeout * 1000),
        }
    }


def parse_sentinel_url(url: str) -> SentinelUrl | None:
    """Return the parts of a URL with Sentinels; None when it names a server.

    Raises:
        RedisUrlError: it cannot be read.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _SENTINEL:
        return None
    authority, _, path = rest.partition("?")[0].partition("/")
    credentials, at, hosts = authority.rpartition("@")
    service, _, database = path.partition("/")
    if not service or not hosts:
        raise RedisUrlError(_wrong(url))
    query = dict(parse_qsl(rest.partition("?")[2]))
    own = {
        name: query.pop(f"sentinel_{name}")
        for name in ("username", "password")
        if f"sentinel_{name}" in query
    }
    plain = f"{_SENTINEL[scheme]}://{credentials}{at}server/{database}?{urlencode(query)}"
    server = _options(plain)
    tls = {name: value for name, value in server.items() if name.startswith("ssl")}
    return SentinelUrl(
        tuple(_host(host, url) for host in hosts.split(",")), unquote(service), server, own | tls
    )


def check_redis_url(url: str) -> None:
    """Check a URL as far as that can be done without a server.

    Raises:
        RedisUrlError: it has none of the forms above, a parameter of its query is wrong, or a file
            that it names is not there.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in (*_SERVER, *_SENTINEL) or "#" in rest:
        raise RedisUrlError(_wrong(url))
    if scheme in _SERVER:
        _check_server(url)
    for name, value in parse_qsl(rest.partition("?")[2]):
        if name in _FILES and not Path(value).is_file():
            raise RedisUrlError(f"{shown_url(url)!r}: its {name} names no file: {value!r}")
    try:
        open_redis(url, timeout=1).connection_pool.make_connection()  # made, and not yet connected
    except (TypeError, ValueError, redis.RedisError) as error:
        if isinstance(error, RedisUrlError):
            raise
        raise RedisUrlError(f"{shown_url(url)!r}: redis-py does not take it: {error}") from None


def shown_url(url: str) -> str:
    """Return the scheme, hosts and path of a URL; user, password and query may be secrets."""
    scheme, separator, rest = url.rpartition("://") if "://" not in url else url.partition("://")
    address, _, query = rest.partition("?")
    # With one there, the question mark may be a password's.
    return f"{scheme}{separator}{'…' if '@' in query else address.rpartition('@')[2]}"


def _check_server(url: str) -> None:
    try:
        parts = urlsplit(url)
        if parts.port != 0 and (parts.hostname or (parts.scheme == "unix" and parts.path)):
            return
    except ValueError:  # a port that is no number, or a broken address
        pass
    raise RedisUrlError(_wrong(url))


def _options(plain: str) -> dict[str, Any]:
    try:
        options: dict[str, Any] = parse_url(plain)  # type: ignore[no-untyped-call] # nor here
    except ValueError as error:  # its message names a parameter and not its value
        raise RedisUrlError(f"the query is wrong: {error}") from None
    del options["host"]
    if "connection_class" in options:
        options["ssl"] = options.pop("connection_class") is not None
    return options


def _host(text: str, url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port != 0:
            return parts.hostname, parts.port or _SENTINEL_PORT
    except ValueError:
        pass
    raise RedisUrlError(_wrong(url))


def _wrong(url: str) -> str:
    return f"{shown_url(url)!r}: it has to be {_FORMS}"


@contextmanager
def translated() -> Iterator[None]:
    """Turn what Redis raises into :class:`LedgerUnavailableError`."""
    try:
        yield
    except redis.RedisError as error:
        if str(error).startswith(NEWER_MARK):
            raise NewerVersionError(str(error).removeprefix(NEWER_MARK).strip()) from error
        raise LedgerUnavailableError(str(error)) from error
