"""What the operators' console needs of the pipeline, beside the jobs themselves."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import redis
from dramatiq.brokers.redis import RedisBroker

from pipeline.auth.sessions import Sessions
from pipeline.auth.sign_in_limits import Attempts
from pipeline.broker.dead_letters import DeadLetters
from pipeline.broker.factory import BrokerParts
from pipeline.ledger.ledger import Ledger
from pipeline.monitoring.health import Health
from pipeline.monitoring.overview import OverviewReader
from pipeline.monitoring.preview import Samples
from pipeline.storage.records import JobRecords


class Operations(NamedTuple):
    """The parts of it.

    Attributes:
        broker: for Dramatiq's own dashboard, which works on it; None when it is not Redis.
    """

    overview: OverviewReader
    dead_letters: DeadLetters
    sessions: Sessions
    attempts: Attempts
    samples: Samples
    health: Health
    broker: RedisBroker | None


def make_operations(
    text: redis.Redis,
    plain: redis.Redis,
    parts: BrokerParts,
    *,
    records: JobRecords,
    checks: Mapping[str, Callable[[], None]],
) -> Operations:
    """Return the parts over what the service has.

    Args:
        text: client of Redis that decodes responses.
        plain: one that does not.
        parts: the broker.
        records: of requests.
        checks: one a part, which raises when the part does not answer.
    """
    return Operations(
        overview=OverviewReader(text, parts.queues, parts.heartbeats),
        dead_letters=DeadLetters(parts.queues, Ledger(text)),
        sessions=Sessions(text),
        attempts=Attempts(plain),
        samples=Samples(records),
        health=Health(checks),
        broker=parts.broker if isinstance(parts.broker, RedisBroker) else None,
    )
