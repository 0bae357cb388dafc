"""Run of all checks, on the dependencies that the settings name."""

from collections.abc import Iterator
from contextlib import closing

from pipeline.backends import Backends
from pipeline.doctor.check import Finding, run_checks
from pipeline.doctor.redis import redis_checks
from pipeline.doctor.s3 import s3_checks
from pipeline.doctor.sentinel import sentinel_checks
from pipeline.doctor.workers import work_checks
from pipeline.settings import Settings, SettingsError

#: Seconds to wait for a response of Redis, RabbitMQ and S3. RabbitMQ has more time than Redis,
#: because its connection has to be opened first.
_REDIS_TIMEOUT = 2
_BROKER_TIMEOUT = 5
_S3_TIMEOUT = 10


def check_up(settings: Settings) -> Iterator[Finding]:
    """Check each dependency and yield the findings. The checks leave no data behind."""
    backends = Backends(
        settings,
        redis_timeout=_REDIS_TIMEOUT,
        broker_timeout=_BROKER_TIMEOUT,
        s3_timeout=_S3_TIMEOUT,
    )
    client, parts = backends.redis, backends.broker
    with client, backends.undecoded_redis, closing(parts.broker):
        checks = (
            *redis_checks(settings, client),
            *sentinel_checks(settings, client),
            *work_checks(settings, client, parts),
        )
        yield from run_checks(checks)
    try:
        storage = backends.storage
    except SettingsError as error:
        advice = "Correct this. `aws sts get-caller-identity` reads the same variables and files."
        yield Finding("s3 credentials", "fail", str(error), advice)
        return
    yield from run_checks(s3_checks(settings, storage))
