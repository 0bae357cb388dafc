"""What the operators' console needs of the pipeline, beside the jobs themselves."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import redis
from dramatiq.brokers.redis import RedisBroker

from pipeline.attempts import Attempts
from pipeline.dead_letters import DeadLetters
from pipeline.health import Health
from pipeline.ledger import Ledger
from pipeline.overview import OverviewReader
from pipeline.recovery import Recovery
from pipeline.samples import Samples
from pipeline.sessions import Sessions
from pipeline.settings import Settings
from pipeline.store import Bucket


class Operations(NamedTuple):
    """The parts of it.

    Attributes:
        broker: for Dramatiq's own dashboard, which works on it.
    """

    overview: OverviewReader
    dead_letters: DeadLetters
    sessions: Sessions
    attempts: Attempts
    samples: Samples
    health: Health
    broker: RedisBroker


def make_operations(
    settings: Settings,
    client: redis.Redis,
    broker: RedisBroker,
    *,
    bucket: Bucket,
    recovery: Recovery,
    checks: Mapping[str, Callable[[], None]],
) -> Operations:
    """Return the parts over what the service has.

    Args:
        settings: how long a silent worker counts as alive.
        client: decodes responses.
        broker: has an undecoded client.
        bucket: of requests.
        recovery: reads heads of requests.
        checks: one a part, which raises when the part does not answer.
    """
    return Operations(
        overview=OverviewReader(client, settings.heartbeat_timeout),
        dead_letters=DeadLetters(client, Ledger(client)),
        sessions=Sessions(client),
        attempts=Attempts(broker.client),
        samples=Samples(bucket, recovery),
        health=Health(checks),
        broker=broker,
    )
