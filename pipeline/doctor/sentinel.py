"""Checks of Sentinels and replicas: whether another server could replace the master."""

from collections.abc import Iterator
from typing import Any, cast

import redis

from pipeline.doctor.check import Check, Finding
from pipeline.ledger.connection import SentinelUrl, parse_sentinel_url
from pipeline.settings import Settings

#: Minimum number of Sentinels. With fewer, the loss of one machine may leave no majority (Redis,
#: "High availability with Redis Sentinel": "You need at least three Sentinel instances for a robust
#: deployment").
_LEAST = 3


def sentinel_checks(settings: Settings, client: redis.Redis) -> Iterator[Check]:
    """Yield the checks of Sentinels and replicas; none if the URL names a single server.

    Args:
        settings: settings with the URL of the Sentinels.
        client: Redis client of the master that decodes responses.
    """
    url = parse_sentinel_url(settings.redis_url)
    if url is None:
        return
    advice = (
        "Check that the Sentinels of QRMILL_REDIS_URL are running and that this machine can reach "
        "them."
    )
    yield Check("redis sentinels", lambda: sentinels(url), advice)
    denied = "Allow the user of QRMILL_REDIS_URL to run INFO."
    yield Check("redis replicas", lambda: replicas(client), denied)


def sentinels(url: SentinelUrl) -> Finding:
    """Check that all Sentinels respond, agree on the master, and suffice for a failover."""
    name, states = "redis sentinels", [_query(each, url.service) for each in url.clients()]
    known = [state for state in states if state is not None]
    masters = {f"{state['ip']}:{state['port']}" for state in known}
    found = (
        f"{len(known)} of {len(states)} Sentinels responded: the master of {url.service} is "
        f"{' and '.join(sorted(masters))}"
    )
    if not known:
        found = f"none of {len(states)} Sentinels returned a master of {url.service}"
        advice = (
            "Check that the Sentinels are running and that they monitor a group with this name "
            "(SENTINEL MASTERS)."
        )
        return Finding(name, "fail", found, advice)
    if len(known) < len(states):
        advice = "Start the other Sentinels: a failover needs a majority of them."
        return Finding(name, "warn", found, advice)
    if len(masters) > 1:
        advice = (
            "Wait for the failover to end. If it does not end, check which Sentinels cannot reach "
            "the others."
        )
        return Finding(name, "warn", found, advice)
    count = 1 + max(int(state["num-other-sentinels"]) for state in known)
    if count < _LEAST:
        advice = "Run three Sentinels on three machines: a failover needs a majority of them."
        return Finding(name, "warn", f"{found}; there are {count} Sentinels in total", advice)
    return Finding(name, "ok", found)


def replicas(client: redis.Redis) -> Finding:
    """Check that the master has a replica, and that it rejects writes while it has none."""
    info: dict[str, Any] = client.info("replication")
    count = int(info["connected_slaves"])
    guarded = "min_slaves_good_slaves" in info  # present if min-replicas-to-write is set
    found = (
        f"connected replicas: {count}; min-replicas-to-write is {'set' if guarded else 'not set'}"
    )
    if not count:
        advice = "Start a replica. Without one, no server can replace the master."
        return Finding("redis replicas", "fail", found, advice)
    if guarded:
        return Finding("redis replicas", "ok", found)
    advice = (
        "A master that is cut off from its replicas would continue to accept jobs. Redis loses "
        "these jobs when the master rejoins, and they have to be restored from S3. With two "
        "replicas, set min-replicas-to-write 1."
    )
    return Finding("redis replicas", "warn", found, advice)


def _query(sentinel: redis.Redis, service: str) -> dict[str, Any] | None:
    try:
        return cast("dict[str, Any]", sentinel.sentinel_master(service))
    except redis.RedisError:
        return None
    finally:
        sentinel.close()
