"""The check-up of Redis: is it there, is it fast, does it keep what it is given."""

import statistics
import time
from collections.abc import Iterator
from typing import Any

import redis

from pipeline.doctor.check import Check, Finding, compare_clocks
from pipeline.ledger.connection import shown_url
from pipeline.settings import Settings

_PINGS = 9
#: Milliseconds an answer may take: a job of 5000 items asks some hundred times.
_SLOW = 20.0
_CONFIGURED = "Set it in the server's configuration, or with CONFIG SET and CONFIG REWRITE."


def redis_checks(settings: Settings, client: redis.Redis) -> Iterator[Check]:
    """Yield the checks of Redis.

    Args:
        settings: where it is.
        client: decodes responses.
    """
    address = shown_url(settings.redis_url)
    away = (
        f"See that a server runs at {address}, that this machine reaches it, and that "
        "QRMILL_REDIS_URL has its user and password."
    )
    asked = "Let the user of QRMILL_REDIS_URL run INFO and TIME."
    yield Check("redis", lambda: reachable(client, address), away, needed=True)
    yield Check("redis latency", lambda: latency(client), away)
    yield Check("redis persistence", lambda: persistence(client), asked)
    yield Check("redis eviction", lambda: eviction(client), asked)
    yield Check("redis clock", lambda: clock(client), asked)


def reachable(client: redis.Redis, address: str) -> Finding:
    """Say which server answers, and whether it has proved who it is."""
    client.ping()
    info: dict[str, Any] = client.info("server")
    name = info.get("server_name", "redis")
    version = info.get(f"{name}_version", "of an unknown version")
    found = f"{name} {version} at {address}"
    if not address.startswith("rediss"):
        return Finding("redis", "ok", found)
    if client.connection_pool.connection_kwargs.get("ssl_cert_reqs") != "none":
        return Finding("redis", "ok", f"{found} over TLS")
    advice = (
        "Anybody may pretend to be it: drop ssl_cert_reqs=none from QRMILL_REDIS_URL and name the "
        "authority, ssl_ca_certs=/path/to/ca.pem."
    )
    return Finding("redis", "warn", f"{found} over TLS, its certificate not checked", advice)


def latency(client: redis.Redis) -> Finding:
    """Say how long it takes to answer."""
    taken = []
    for _ in range(_PINGS):
        begun = time.perf_counter()
        client.ping()
        taken.append((time.perf_counter() - begun) * 1000)
    middle = statistics.median(taken)
    found = f"{middle:.2f} ms (median of {_PINGS} pings)"
    if middle < _SLOW:
        return Finding("redis latency", "ok", found)
    advice = "Put Redis nearer to the service; look at SLOWLOG GET and at the load of its machine."
    return Finding("redis latency", "warn", found, advice)


def persistence(client: redis.Redis) -> Finding:
    """Say whether what it holds outlives it: jobs come back from S3, the queues do not."""
    name = "redis persistence"
    info: dict[str, Any] = client.info("persistence")
    if not info.get("aof_enabled"):
        advice = (
            f"After a restart all jobs would have to come from S3: appendonly yes. {_CONFIGURED}"
        )
        return Finding(name, "warn", "appendonly no", advice)
    if info.get("aof_last_write_status") != "ok":
        found = "appendonly yes, and the last write of the file failed"
        return Finding(
            name, "fail", found, "Look at the server's log and at its disk's free space."
        )
    return Finding(name, "ok", "appendonly yes")


def eviction(client: redis.Redis) -> Finding:
    """Say what it does when its memory is full: it has to refuse, not to drop jobs."""
    info: dict[str, Any] = client.info("memory")
    policy, limit, used = info["maxmemory_policy"], int(info["maxmemory"]), int(info["used_memory"])
    of = f" of {limit / 2**20:.0f}" if limit else ""
    found = f"maxmemory-policy {policy}, {used / 2**20:.1f}{of} MiB used"
    if policy == "noeviction":
        return Finding("redis eviction", "ok", found)
    advice = f"A full Redis would drop jobs: maxmemory-policy noeviction. {_CONFIGURED}"
    return Finding("redis eviction", "fail" if limit else "warn", found, advice)


def clock(client: redis.Redis) -> Finding:
    """Compare its clock, by which leases and deadlines are told, with this machine's."""
    seconds, microseconds = client.time()
    return compare_clocks("redis clock", seconds + microseconds / 1e6 - time.time())
