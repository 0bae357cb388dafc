"""Checks of Redis: reachability, writes, latency, persistence, memory and the clock."""

import statistics
import time
from collections.abc import Iterator
from typing import Any, Literal

import redis

from pipeline.doctor.check import Check, Finding, compare_clocks
from pipeline.errors import LedgerReadOnlyError
from pipeline.ledger import keys
from pipeline.ledger.connection import check_writable, shown_url
from pipeline.settings import Settings

_PINGS = 9
#: Latency in milliseconds from which Redis counts as slow. A job of 5000 items needs some hundred
#: round trips.
_SLOW = 20.0
#: Share of ``maxmemory`` from which the finding is a warning, as in the alert RedisMemory.
_NEARLY_FULL = 0.8
_MIB = 2**20
_ROLES = {"master": "master", "slave": "replica"}
#: Advice on a server that rejects writes, by Redis's error code.
_NO_WRITES = {
    "OOM": "The memory of Redis is full. Raise maxmemory, or give Redis a larger machine.",
    "READONLY": (
        "This server is a replica. Set QRMILL_REDIS_URL to the master, or to the Sentinels, which "
        "report it (deploy/redis.md)."
    ),
    "NOREPLICAS": "Start the replicas that min-replicas-to-write requires.",
    "MISCONF": "Check the log of the Redis server and the free space on its disk.",
}
_CONFIGURED = "in the server's configuration, or with CONFIG SET and CONFIG REWRITE."


def redis_checks(settings: Settings, client: redis.Redis) -> Iterator[Check]:
    """Yield the checks of Redis.

    Args:
        settings: settings with the URL of Redis.
        client: Redis client that decodes responses.
    """
    address = shown_url(settings.redis_url)
    unreachable = (
        f"Check that Redis is running at {address}, that this machine can reach it, and that "
        "QRMILL_REDIS_URL has the right user and password."
    )
    not_permitted = "Give the user of QRMILL_REDIS_URL the permissions of deploy/redis/users.acl."
    denied = "Allow the user of QRMILL_REDIS_URL to run INFO and TIME."
    yield Check("redis", lambda: reachable(client, address), unreachable, required=True)
    yield Check("redis writes", lambda: writes(client), not_permitted)
    yield Check("redis latency", lambda: latency(client), unreachable)
    yield Check("redis persistence", lambda: persistence(client), denied)
    yield Check("redis eviction", lambda: eviction(client), denied)
    yield Check("redis memory", lambda: memory(client), denied)
    yield Check("redis clock", lambda: clock(client), denied)


def reachable(client: redis.Redis, address: str) -> Finding:
    """Report the server at ``address``, its role, and whether its TLS certificate is verified."""
    client.ping()
    info: dict[str, Any] = client.info("server")
    role = str(client.info("replication")["role"])
    name = info.get("server_name", "redis")
    version = info.get(f"{name}_version", "(unknown version)")
    found = f"{name} {version}, {_ROLES.get(role, role)}, at {address}"
    if not address.startswith("rediss"):
        return Finding("redis", "ok", found)
    if client.connection_pool.connection_kwargs.get("ssl_cert_reqs") != "none":
        return Finding("redis", "ok", f"{found} over TLS")
    advice = (
        "Another server could impersonate Redis. Remove ssl_cert_reqs=none from QRMILL_REDIS_URL, "
        "and name the certificate authority with ssl_ca_certs=/path/to/ca.pem."
    )
    found = f"{found} over TLS, but its certificate is not verified"
    return Finding("redis", "warn", found, advice)


def writes(client: redis.Redis) -> Finding:
    """Check that Redis accepts writes, which a full server and a replica reject."""
    try:
        check_writable(client)
    except LedgerReadOnlyError as error:
        return Finding("redis writes", "fail", str(error), _NO_WRITES[error.code])
    client.delete(keys.PROBE)
    return Finding("redis writes", "ok", "accepted")


def latency(client: redis.Redis) -> Finding:
    """Measure the response time of Redis."""
    taken = []
    for _ in range(_PINGS):
        begun = time.perf_counter()
        client.ping()
        taken.append((time.perf_counter() - begun) * 1000)
    middle = statistics.median(taken)
    found = f"{middle:.2f} ms (median of {_PINGS} pings)"
    if middle < _SLOW:
        return Finding("redis latency", "ok", found)
    advice = "Run Redis closer to the service. Check SLOWLOG GET and the load of its machine."
    return Finding("redis latency", "warn", found, advice)


def persistence(client: redis.Redis) -> Finding:
    """Check that data survives a restart of Redis.

    If Redis loses its data, jobs can be restored from S3, but queues cannot.
    """
    name = "redis persistence"
    info: dict[str, Any] = client.info("persistence")
    if not info.get("aof_enabled"):
        advice = (
            "After a restart, all jobs would have to be restored from S3. "
            f"Set appendonly yes, {_CONFIGURED}"
        )
        return Finding(name, "warn", "appendonly no", advice)
    if info.get("aof_last_write_status") != "ok":
        found = "appendonly yes, but the last write to the append-only file failed"
        advice = "Check the log of the Redis server and the free space on its disk."
        return Finding(name, "fail", found, advice)
    return Finding(name, "ok", "appendonly yes")


def eviction(client: redis.Redis) -> Finding:
    """Check that Redis rejects writes when its memory is full, instead of deleting jobs."""
    info: dict[str, Any] = client.info("memory")
    policy = info["maxmemory_policy"]
    found = f"maxmemory-policy {policy}"
    if policy == "noeviction":
        return Finding("redis eviction", "ok", found)
    advice = (
        "When its memory is full, Redis would delete jobs. "
        f"Set maxmemory-policy noeviction, {_CONFIGURED}"
    )
    return Finding("redis eviction", "fail" if int(info["maxmemory"]) else "warn", found, advice)


def memory(client: redis.Redis) -> Finding:
    """Compare the memory that Redis uses with its limit, at which it rejects writes."""
    info: dict[str, Any] = client.info("memory")
    limit, used = int(info["maxmemory"]), int(info["used_memory"])
    if not limit:
        return Finding("redis memory", "ok", f"{used / _MIB:.1f} MiB used, no maxmemory")
    found = f"{used / _MIB:.1f} of {limit / _MIB:.1f} MiB (maxmemory) used"
    if used < _NEARLY_FULL * limit:
        return Finding("redis memory", "ok", found)
    state: Literal["warn", "fail"] = "warn" if used < limit else "fail"
    advice = (
        "When its memory is full, Redis rejects writes, and requests get 503. Raise maxmemory, or "
        "lower QRMILL_JOB_TTL, QRMILL_MAX_BACKLOG, or both."
    )
    return Finding("redis memory", state, found, advice)


def clock(client: redis.Redis) -> Finding:
    """Compare this machine's clock with Redis's clock, by which leases and deadlines are timed."""
    seconds, microseconds = client.time()
    return compare_clocks("redis clock", seconds + microseconds / 1e6 - time.time())
