"""Run of all checks, on the dependencies that the settings name."""

from collections.abc import Iterator
from contextlib import closing
from urllib.parse import urlsplit

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
#: Host of GS1's global resolver, the default of QRMILL_LINK_BASE.
_GS1_HOST = "id.gs1.org"


def link_base(settings: Settings) -> Finding:
    """Warn while labels lead to GS1's own resolver, which knows nothing of this service's items."""
    base = settings.link_base
    if urlsplit(base).hostname != _GS1_HOST:
        return Finding("link base", "ok", base)
    advice = (
        "Set QRMILL_LINK_BASE to a domain of your own before you print: a printed label cannot be "
        "changed. GS1's resolver knows only GTINs that their brand owners have registered there."
    )
    return Finding("link base", "warn", f"{base}, unless an API key has link bases", advice)


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
    yield link_base(settings)
    try:
        storage = backends.storage
    except SettingsError as error:
        advice = "Correct this. `aws sts get-caller-identity` reads the same variables and files."
        yield Finding("s3 credentials", "fail", str(error), advice)
        return
    yield from run_checks(s3_checks(settings, storage))
