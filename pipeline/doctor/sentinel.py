"""The check-up of Sentinels: would there be another master if this one died."""

from collections.abc import Iterator
from typing import Any, cast

import redis

from pipeline.doctor.check import Check, Finding
from pipeline.ledger.connection import SentinelUrl, parse_sentinel_url
from pipeline.settings import Settings

#: With fewer, the death of one machine may leave no majority (Redis, "High availability with
#: Redis Sentinel": "You need at least three Sentinel instances for a robust deployment").
_LEAST = 3


def sentinel_checks(settings: Settings, client: redis.Redis) -> Iterator[Check]:
    """Yield the checks of Sentinels and replicas; none when the URL names one server.

    Args:
        settings: which Sentinels.
        client: of the master; decodes responses.
    """
    url = parse_sentinel_url(settings.redis_url)
    if url is None:
        return
    advice = "See that the Sentinels of QRMILL_REDIS_URL run and that this machine reaches them."
    yield Check("redis sentinels", lambda: sentinels(url), advice)
    asked = "Let the user of QRMILL_REDIS_URL run INFO."
    yield Check("redis replicas", lambda: replicas(client), asked)


def sentinels(url: SentinelUrl) -> Finding:
    """Say how many Sentinels answer, and whether they agree and could replace the master."""
    name, told = "redis sentinels", [_ask(sentinel, url.service) for sentinel in url.clients()]
    answers = [state for state in told if state is not None]
    masters = {f"{state['ip']}:{state['port']}" for state in answers}
    found = (
        f"{len(answers)} of {len(told)} answer: {url.service} is {' and '.join(sorted(masters))}"
    )
    if not answers:
        advice = "See that Sentinels run there and watch a group of this name (SENTINEL MASTERS)."
        return Finding(name, "fail", f"none of {len(told)} knows {url.service}", advice)
    if len(answers) < len(told):
        return Finding(name, "warn", found, "Start the others: a failover needs a majority.")
    if len(masters) > 1:
        advice = "Wait for the failover to end, or see which of them are cut off from the others."
        return Finding(name, "warn", found, advice)
    count = 1 + max(int(state["num-other-sentinels"]) for state in answers)
    if count < _LEAST:
        advice = "Run three, on three machines: a failover needs a majority."
        return Finding(name, "warn", f"{found}; there are {count} in all", advice)
    return Finding(name, "ok", found)


def replicas(client: redis.Redis) -> Finding:
    """Say who follows the master, and whether it stops taking jobs when nobody does."""
    info: dict[str, Any] = client.info("replication")
    count = int(info["connected_slaves"])
    guarded = "min_slaves_good_slaves" in info  # told when min-replicas-to-write is set
    found = f"{count} follow, min-replicas-to-write is {'set' if guarded else 'not set'}"
    if not count:
        advice = "Start a replica: nobody could take the master's place."
        return Finding("redis replicas", "fail", found, advice)
    if guarded:
        return Finding("redis replicas", "ok", found)
    advice = (
        "A master that is cut off goes on taking jobs that are forgotten when it comes back, and "
        "that only S3 brings back: with two replicas, min-replicas-to-write 1."
    )
    return Finding("redis replicas", "warn", found, advice)


def _ask(sentinel: redis.Redis, service: str) -> dict[str, Any] | None:
    try:
        return cast("dict[str, Any]", sentinel.sentinel_master(service))
    except redis.RedisError:
        return None
    finally:
        sentinel.close()
