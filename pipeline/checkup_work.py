"""The check-up of those who work: workers, the sweep, and what waits for them."""

from collections.abc import Iterator

import redis

from pipeline import keys
from pipeline.backlog import Backlog
from pipeline.broker import QUEUES, WEBHOOK_QUEUE
from pipeline.checkup import Check, Finding
from pipeline.settings import Settings

_AWAY = "Redis answered a moment ago; look whether it is overloaded."


def work_checks(settings: Settings, client: redis.Redis) -> Iterator[Check]:
    """Yield the checks of workers, sweep and queues.

    Args:
        settings: limits and time-outs.
        client: decodes responses.
    """
    seconds, limit = settings.heartbeat_timeout, settings.max_backlog
    yield Check("workers", lambda: workers(client, seconds), _AWAY)
    yield Check("sweep", lambda: sweep(client), _AWAY)
    yield Check("queues", lambda: queues(client, limit), _AWAY)
    yield Check("dead letters", lambda: dead_letters(client), _AWAY)


def workers(client: redis.Redis, seconds: int) -> Finding:
    """Say how many worker processes there are.

    Those that listen for messages are counted, for the API is a broker client as well; but a worker
    that hangs listens too, so that somebody has to have been heard of within ``seconds``.
    """
    ((_, listening),) = client.pubsub_numsub(keys.ENQUEUED)
    now = client.time()[0] * 1000
    heard = client.zcount(keys.HEARTBEATS, now - seconds * 1000, "+inf")
    if listening and heard:
        return Finding("workers", "ok", f"{listening} processes")
    found = f"{listening} processes listen; {heard} broker clients heard of within {seconds} s"
    advice = (
        "Start workers, dramatiq pipeline.worker:setup_broker, or see in their logs why they end; "
        "one that hangs has to be killed."
    )
    return Finding("workers", "fail", found, advice)


def sweep(client: redis.Redis) -> Finding:
    """Say whether somebody sweeps."""
    if client.exists(keys.SWEEP):
        return Finding("sweep", "ok", "its lease is held")
    advice = "Start one: qrmill sweep. Without it, what is lost stays lost."
    return Finding("sweep", "fail", "nobody holds its lease", advice)


def queues(client: redis.Redis, limit: int) -> Finding:
    """Say how much waits, and whether that is too much for more."""
    waiting = {name: client.llen(keys.queue(name)) for name in (*QUEUES, WEBHOOK_QUEUE)}
    backlog = Backlog(client, limit).size()
    each = ", ".join(f"{count} in {name}" for name, count in waiting.items())
    found = f"{each}; a backlog of {backlog}, which may be {limit}"
    if backlog < limit:
        return Finding("queues", "ok", found)
    advice = (
        "Requests are answered 503: start more workers, or wait. QRMILL_MAX_BACKLOG is the limit."
    )
    return Finding("queues", "fail", found, advice)


def dead_letters(client: redis.Redis) -> Finding:
    """Say how many messages have failed for good."""
    counts = {name: client.zcard(keys.dead_letters(name)) for name in (*QUEUES, WEBHOOK_QUEUE)}
    dead = {name: count for name, count in counts.items() if count}
    if not dead:
        return Finding("dead letters", "ok", "none")
    found = ", ".join(f"{count} in {name}" for name, count in dead.items())
    advice = (
        "qrmill list --status failed names the jobs, qrmill chunks TASK_ID the reasons; when what "
        "was wrong is put right, qrmill retry TASK_ID renders the rest. They are kept for 30 days."
    )
    return Finding("dead letters", "warn", found, advice)
