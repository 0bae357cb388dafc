"""Checks of the workers, the sweep, the queues and the dead letters."""

from collections.abc import Iterator

import redis

from pipeline.broker.factory import BrokerParts
from pipeline.broker.heartbeats import Heartbeats
from pipeline.broker.inspection import Queues
from pipeline.broker.names import QUEUES
from pipeline.doctor.check import Check, Finding
from pipeline.errors import BrokerUnavailableError
from pipeline.ledger import keys
from pipeline.ledger.connection import shown_url
from pipeline.settings import Settings

_OVERLOADED = "Redis and the broker responded a moment ago. Check whether they are overloaded."


def work_checks(settings: Settings, client: redis.Redis, parts: BrokerParts) -> Iterator[Check]:
    """Yield the checks of workers, sweep and queues.

    Args:
        settings: settings with limits and addresses.
        client: Redis client that decodes responses.
        parts: the broker's queues and heartbeats.
    """
    queues, limit = parts.queues, settings.max_backlog
    yield Check(
        "workers", lambda: workers(parts.heartbeats, settings.heartbeat_timeout), _OVERLOADED
    )
    yield Check("sweep", lambda: sweep(client), _OVERLOADED)
    if settings.broker_url is not None:
        yield _rabbitmq(settings.broker_url, queues)
    yield Check("queues", lambda: backlog(queues, limit), _OVERLOADED)
    yield Check("dead letters", lambda: dead_letters(queues), _OVERLOADED)


def _rabbitmq(url: str, queues: Queues) -> Check:
    # Imported here, because the module imports pika, which is only needed for RabbitMQ.
    from pipeline.broker.rabbitmq_errors import AmqpRefusedError  # noqa: PLC0415

    address = shown_url(url)
    unreachable = (
        f"Check that RabbitMQ is running at {address}, that this machine can reach it, and that "
        "QRMILL_BROKER_URL has the right host and port."
    )

    def available() -> Finding:
        try:
            queues.ping()
        except BrokerUnavailableError as error:
            refused = error.__cause__
            if not isinstance(refused, AmqpRefusedError):
                raise
            return Finding("rabbitmq", "fail", f"{refused.found}, at {address}", refused.advice)
        return Finding("rabbitmq", "ok", f"has all queues, at {address}")

    return Check("rabbitmq", available, unreachable, required=True)


def workers(heartbeats: Heartbeats, seconds: int) -> Finding:
    """Report the number of worker processes with a heartbeat within the last ``seconds``."""
    alive = heartbeats.alive()
    if alive:
        return Finding("workers", "ok", f"{alive} worker process{'es' if alive > 1 else ''} alive")
    advice = (
        "Start workers (`qrmill worker`). If they exit, check their logs for "
        "the reason. Kill a worker that hangs."
    )
    return Finding("workers", "fail", f"no worker sent a heartbeat within {seconds} s", advice)


def sweep(client: redis.Redis) -> Finding:
    """Check that a sweep is running."""
    if client.exists(keys.SWEEP):
        return Finding("sweep", "ok", "running: its lease is held")
    advice = "Start one with `qrmill sweep`. Without it, jobs whose messages are lost never end."
    return Finding("sweep", "fail", "not running: no process holds its lease", advice)


def backlog(queues: Queues, limit: int) -> Finding:
    """Check that the backlog is below its limit."""
    states = queues.read()
    size = sum(queue.size for queue in states if queue.name in QUEUES)
    waiting = [f"{queue.waiting} in {queue.name}" for queue in states if queue.waiting]
    each = ", ".join(waiting) or "none"
    found = f"messages waiting: {each}; backlog {size}, limit {limit}"
    if size < limit:
        return Finding("queues", "ok", found)
    advice = (
        "New requests are rejected with 503. Start more workers, or wait. QRMILL_MAX_BACKLOG is "
        "the limit."
    )
    return Finding("queues", "fail", found, advice)


def dead_letters(queues: Queues) -> Finding:
    """Report the number of dead letters per queue."""
    dead = {queue.name: queue.dead for queue in queues.read() if queue.dead}
    if not dead:
        return Finding("dead letters", "ok", "none")
    found = ", ".join(f"{count} in {name}" for name, count in dead.items())
    advice = (
        "`qrmill list --status failed` lists the failed jobs, and `qrmill chunks TASK_ID` shows "
        "why a job failed. After fixing the cause, run `qrmill retry TASK_ID` to render the "
        "missing chunks. Dead letters are kept for 30 days."
    )
    return Finding("dead letters", "warn", found, advice)
