"""Redis clients by URL: for one server, or for the master that Redis Sentinels report.

=============================================================  ===================================
URL                                                            server
=============================================================  ===================================
``redis://user:password@host:6379/0``                          one server
``rediss://user:password@host:6379/0``                         one server over TLS
``unix://user:password@/path/to/socket?db=0``                  one server on this machine
``redis+sentinel://user:password@host:26379,host/service/0``   the master of ``service`` that any
                                                               of the listed Sentinels reports
``rediss+sentinel://…``                                        the same, with TLS to the Sentinels
                                                               and to the master
=============================================================  ===================================

The query of a URL can contain the parameters of redis-py's connections, such as ``ssl_ca_certs``.
The user and the password are those of the server. For Sentinels with credentials of their own, the
query also contains ``sentinel_username`` and ``sentinel_password``.
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

from pipeline.errors import LedgerReadOnlyError, LedgerUnavailableError, NewerVersionError
from pipeline.ledger import keys

_SERVER = ("redis", "rediss", "unix")
_SENTINEL = {"redis+sentinel": "redis", "rediss+sentinel": "rediss"}
#: Default port of Sentinel's own configuration; IANA has not assigned one.
_SENTINEL_PORT = 26379
#: Timeout of one Sentinel in seconds; another Sentinel may respond if this one does not.
_SENTINEL_SECONDS = 1.0
#: TCP keep-alive: seconds of silence before the first probe, seconds between probes, and number of
#: probes.
_IDLE, _PROBE_INTERVAL, _PROBES = 30, 5, 3
#: Error codes of a server that rejects every write: its memory is full, it is a replica, it has too
#: few replicas, or it cannot write to its disk.
_NO_WRITES = frozenset({"OOM", "READONLY", "NOREPLICAS", "MISCONF"})
#: Milliseconds that the key of :func:`check_writable` is kept.
_PROBE_TTL = 10_000
#: First word of a script's error when the entry was written by a newer release.
NEWER_MARK = "NEWER"
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_FORMS = (
    "redis://host:port or rediss://host:port (TLS), unix:///path, or "
    "redis+sentinel://host:port,host:port/service (rediss+sentinel:// for TLS)"
)


class RedisUrlError(ValueError):
    """Raised when a URL is not a valid Redis URL.

    The message states what is wrong and contains no password.
    """


class SentinelUrl(NamedTuple):
    """The components of a URL with Sentinels.

    Attributes:
        hosts: host and port of each Sentinel.
        service: name of the group of servers in the Sentinels' configuration.
        server: redis-py options of a connection to the master.
        own: redis-py options of a connection to a Sentinel.
    """

    hosts: tuple[tuple[str, int], ...]
    service: str
    server: dict[str, Any]
    own: dict[str, Any]

    def sentinel(self) -> Sentinel:
        """Return redis-py's object for the Sentinels; it queries each Sentinel without retries."""
        own = {**self.own, "socket_timeout": _SENTINEL_SECONDS, "retry": Retry(NoBackoff(), 0)}
        own["socket_connect_timeout"] = _SENTINEL_SECONDS
        return Sentinel(self.hosts, sentinel_kwargs=own)  # type: ignore[no-untyped-call] # no types here

    def clients(self) -> list[redis.Redis]:
        """Return one client for each Sentinel."""
        found: list[redis.Redis] = self.sentinel().sentinels
        return found


def open_redis(url: str, *, timeout: float, decode: bool = False) -> redis.Redis:
    """Return a client that does not retry, so that errors reach the caller at once.

    With Sentinels, the client queries them for the master at every new connection. It closes its
    connections when the server reports that it is no longer the master.

    A connection is closed when the network goes silent: within ``timeout`` if the connection has
    sent data, and within a minute if it only listens. Otherwise the kernel would still deliver an
    abandoned command when the network returns. An abandoned fetch would then take messages that no
    worker processes.

    Args:
        url: Redis URL in one of the forms that the module's docstring lists.
        timeout: seconds to wait for a connection or a response.
        decode: True if the client returns text, False if it returns bytes.

    Raises:
        RedisUrlError: the URL has none of the listed forms.
    """
    retry = Retry(NoBackoff(), 0)
    options: dict[str, Any] = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "decode_responses": decode,
        **_keepalive_options(url, timeout),
    }
    parts = parse_sentinel_url(url)
    if parts is None:
        return redis.Redis.from_url(url, retry=retry, **options)
    options |= parts.server
    client = parts.sentinel().master_for(parts.service, retry=retry, **options)  # type: ignore[no-untyped-call] # nor here
    return cast("redis.Redis", client)


def _keepalive_options(url: str, timeout: float) -> dict[str, Any]:
    """Return the options that close a silent connection (RFC 9293, 3.8.4; RFC 5482)."""
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
    """Return the components of a URL with Sentinels, or None if the URL has none.

    Raises:
        RedisUrlError: the URL is malformed.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in _SENTINEL:
        return None
    authority, _, path = rest.partition("?")[0].partition("/")
    credentials, at, hosts = authority.rpartition("@")
    service, _, database = path.partition("/")
    if not service or not hosts:
        raise RedisUrlError(_forms(url))
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
    """Validate a URL without connecting to a server.

    Raises:
        RedisUrlError: the URL has none of the forms that the module's docstring lists, a parameter
            of its query is invalid, or a file that the query names does not exist.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in (*_SERVER, *_SENTINEL) or "#" in rest:
        raise RedisUrlError(_forms(url))
    if scheme in _SERVER:
        _check_server(url)
    for name, value in parse_qsl(rest.partition("?")[2]):
        if name in _FILES and not Path(value).is_file():
            raise RedisUrlError(f"{shown_url(url)!r}: {name} is not a file: {value!r}")
    try:
        open_redis(url, timeout=1).connection_pool.make_connection()  # made, and not yet connected
    except (TypeError, ValueError, redis.RedisError) as error:
        if isinstance(error, RedisUrlError):
            raise
        raise RedisUrlError(f"{shown_url(url)!r}: redis-py rejects it: {error}") from None


def shown_url(url: str) -> str:
    """Return the scheme, hosts and path of a URL.

    The user, the password and the query are left out, because they may be secrets.
    """
    scheme, separator, rest = url.rpartition("://") if "://" not in url else url.partition("://")
    address, _, query = rest.partition("?")
    # With an "@" after the question mark, the question mark may be part of a password.
    return f"{scheme}{separator}{'…' if '@' in query else address.rpartition('@')[2]}"


def _check_server(url: str) -> None:
    try:
        parts = urlsplit(url)
        if parts.port != 0 and (parts.hostname or (parts.scheme == "unix" and parts.path)):
            return
    except ValueError:  # the port is not a number, or the address is malformed
        pass
    raise RedisUrlError(_forms(url))


def _options(plain: str) -> dict[str, Any]:
    try:
        options: dict[str, Any] = parse_url(plain)  # type: ignore[no-untyped-call] # nor here
    except ValueError as error:  # the message names the parameter, not its value
        raise RedisUrlError(f"invalid query: {error}") from None
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
    raise RedisUrlError(_forms(url))


def _forms(url: str) -> str:
    return f"{shown_url(url)!r}: it has to be {_FORMS}"


def check_writable(client: redis.Redis) -> None:
    """Check that Redis responds and accepts writes, by writing a key that expires.

    A server that only responds is not enough: when its memory is full or when it is a replica, it
    answers ``PING`` but rejects everything that the service needs.

    Raises:
        LedgerReadOnlyError: Redis responds but rejects the write.
        LedgerUnavailableError: Redis is unreachable.
    """
    with translated():
        client.set(keys.PROBE, 1, px=_PROBE_TTL)


@contextmanager
def translated() -> Iterator[None]:
    """Raise :class:`LedgerUnavailableError` for the errors of redis-py.

    A rejected write becomes :class:`LedgerReadOnlyError`. A script's error about an entry of a
    newer release becomes :class:`NewerVersionError`.
    """
    try:
        yield
    except redis.RedisError as error:
        if str(error).startswith(NEWER_MARK):
            raise NewerVersionError(str(error).removeprefix(NEWER_MARK).strip()) from error
        # redis-py takes the code off the message if it has an exception class for the code.
        code = getattr(error, "status_code", None) or str(error).partition(" ")[0]
        if code in _NO_WRITES:
            reason = f"Redis rejects writes: {code} {str(error).removeprefix(code).lstrip()}"
            raise LedgerReadOnlyError(code, reason) from error
        raise LedgerUnavailableError(str(error)) from error
