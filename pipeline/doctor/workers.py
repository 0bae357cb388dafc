"""The check-up of those who work: workers, the sweep, and what waits for them."""

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

_AWAY = "The broker answered a moment ago; look whether it is overloaded."


def work_checks(settings: Settings, client: redis.Redis, parts: BrokerParts) -> Iterator[Check]:
    """Yield the checks of workers, sweep and queues.

    Args:
        settings: limits and addresses.
        client: decodes responses.
        parts: of the broker.
    """
    queues, limit = parts.queues, settings.max_backlog
    yield Check("workers", lambda: workers(parts.heartbeats, settings.heartbeat_timeout), _AWAY)
    yield Check("sweep", lambda: sweep(client), _AWAY)
    if settings.broker_url is not None:
        yield _rabbitmq(settings.broker_url, queues)
    yield Check("queues", lambda: backlog(queues, limit), _AWAY)
    yield Check("dead letters", lambda: dead_letters(queues), _AWAY)


def _rabbitmq(url: str, queues: Queues) -> Check:
    # The module imports pika, which nobody without RabbitMQ has to load.
    from pipeline.broker.rabbitmq_errors import AmqpRefusedError  # noqa: PLC0415

    address = shown_url(url)
    away = (
        f"See that a server runs at {address}, that this machine reaches it, and that "
        "QRMILL_BROKER_URL names its host and port."
    )

    def answers() -> Finding:
        try:
            queues.ping()
        except BrokerUnavailableError as error:
            refused = error.__cause__
            if not isinstance(refused, AmqpRefusedError):
                raise
            return Finding("rabbitmq", "fail", f"{refused.found}, at {address}", refused.advice)
        return Finding("rabbitmq", "ok", f"it has the queues, at {address}")

    return Check("rabbitmq", answers, away, needed=True)


def workers(heartbeats: Heartbeats, seconds: int) -> Finding:
    """Say how many worker processes have shown a sign of life within ``seconds``."""
    alive = heartbeats.alive()
    if alive:
        return Finding("workers", "ok", f"{alive} processes")
    advice = (
        "Start workers, dramatiq pipeline.worker:setup_broker, or see in their logs why they end; "
        "one that hangs has to be killed."
    )
    return Finding("workers", "fail", f"none was heard of within {seconds} s", advice)


def sweep(client: redis.Redis) -> Finding:
    """Say whether somebody sweeps."""
    if client.exists(keys.SWEEP):
        return Finding("sweep", "ok", "its lease is held")
    advice = "Start one: qrmill sweep. Without it, what is lost stays lost."
    return Finding("sweep", "fail", "nobody holds its lease", advice)


def backlog(queues: Queues, limit: int) -> Finding:
    """Say how much waits, and whether that is too much for more."""
    states = queues.read()
    size = sum(queue.size for queue in states if queue.name in QUEUES)
    each = ", ".join(f"{queue.waiting} in {queue.name}" for queue in states)
    found = f"{each}; a backlog of {size}, which may be {limit}"
    if size < limit:
        return Finding("queues", "ok", found)
    advice = (
        "Requests are answered 503: start more workers, or wait. QRMILL_MAX_BACKLOG is the limit."
    )
    return Finding("queues", "fail", found, advice)


def dead_letters(queues: Queues) -> Finding:
    """Say how many messages have failed for good."""
    dead = {queue.name: queue.dead for queue in queues.read() if queue.dead}
    if not dead:
        return Finding("dead letters", "ok", "none")
    found = ", ".join(f"{count} in {name}" for name, count in dead.items())
    advice = (
        "qrmill list --status failed names the jobs, qrmill chunks TASK_ID the reasons; when what "
        "was wrong is put right, qrmill retry TASK_ID renders the rest. They are kept for 30 days."
    )
    return Finding("dead letters", "warn", found, advice)
