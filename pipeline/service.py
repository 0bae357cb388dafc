"""The seam between the API and the pipeline: what one can ask of the service.

The API imports this module and nothing else of the pipeline; the types it needs are here too.
"""

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import structlog

from pipeline import keys
from pipeline.api_keys import ApiKey, ApiKeys, NewApiKey, Role, UnknownApiKeyError
from pipeline.broker import Dispatcher, EnqueueError, connect_redis, make_broker
from pipeline.jobs import (
    TERMINAL,
    Bundle,
    Item,
    JobRequest,
    JobStatus,
    State,
    parse_task_id,
)
from pipeline.ledger import Ledger, LedgerUnavailableError
from pipeline.logs import configure_logging
from pipeline.rates import Rates, Standing, Window
from pipeline.requests import encode_request
from pipeline.settings import Settings, SettingsError, unknown_variables
from pipeline.store import Bucket, ObjectMissingError, StoreUnavailableError, connect_s3

log = structlog.get_logger(__name__)

#: Seconds the API waits for Redis, and for S3: a client is waiting too.
_REDIS_TIMEOUT = 2
_S3_TIMEOUT = 10


class Download(NamedTuple):
    """A URL that downloads a bundle, and when it stops working, in seconds since the epoch."""

    url: str
    expires_at: int


class JobService:
    """Jobs, as the API sees them."""

    def __init__(
        self,
        settings: Settings,
        *,
        ledger: Ledger,
        bucket: Bucket,
        public_bucket: Bucket,
        dispatcher: Dispatcher,
        rates: Rates,
        checks: dict[str, Callable[[], None]],
    ) -> None:
        self.api_keys = ApiKeys(bucket)
        self.rates = rates
        self._settings = settings
        self._ledger = ledger
        self._bucket = bucket
        self._public_bucket = public_bucket
        self._dispatcher = dispatcher
        self._checks = checks

    def submit(self, request: JobRequest, key: ApiKey) -> JobStatus:
        """Accept a checked request: keep it in S3, enter it in the ledger, enqueue its chunks.

        When one of these fails, what went before is undone, and nothing was accepted.

        Raises:
            StoreUnavailableError, LedgerUnavailableError, EnqueueError: nothing was accepted.
        """
        task_id, created_at = str(uuid.uuid4()), time.time_ns() // 1_000_000
        head, head_line, items = encode_request(
            request, task_id, key.key_id, created_at // 1000, self._settings.chunk_size
        )
        try:
            self._bucket.put(keys.request_object(task_id), head_line + items, "application/json")
            self._ledger.create_job(head, created_at, len(head_line))
            self._dispatcher.send_job(task_id, head.chunks)
        except BaseException:
            self._take_back(task_id, key)
            raise
        log.info("job accepted", task_id=task_id, items=head.items, chunks=head.chunks)
        return JobStatus(
            task_id=task_id, key_id=key.key_id, state="pending", gtin=head.gtin,
            format=head.format, items=head.items, processed_items=0, chunks=head.chunks,
            staged=0, failed=0, created_at=created_at,
        )  # fmt: skip

    def status(self, task_id: str, key: ApiKey) -> JobStatus | None:
        """Return what is known of a job; None when there is none that ``key`` may see.

        Raises:
            LedgerUnavailableError: the ledger is out of reach.
        """
        found = self._ledger.status(task_id)
        if found is None or (found.key_id != key.key_id and key.role != "operator"):
            return None
        return found

    def download(self, task_id: str, bundle: Bundle) -> Download:
        """Sign a download URL for a completed job's bundle; nothing is sent."""
        now = int(time.time())
        seconds = max(1, min(self._settings.download_url_ttl, bundle.expires_at - now))
        key = keys.bundle_object(task_id)
        url = self._public_bucket.presign(key, seconds=seconds, filename=f"{task_id}.zip")
        return Download(url, now + seconds)

    def unready(self) -> list[str]:
        """Return the names of the parts that do not answer; none when the service is ready."""
        down = []
        for name, check in self._checks.items():
            try:
                check()
            except (LedgerUnavailableError, StoreUnavailableError, ObjectMissingError) as error:
                log.warning("not ready", part=name, reason=str(error))
                down.append(name)
        return down

    def _take_back(self, task_id: str, key: ApiKey) -> None:
        # A message that did get out finds no such job, and ends there.
        with suppress(LedgerUnavailableError):
            self._ledger.discard_job(task_id, key.key_id)
        with suppress(StoreUnavailableError):
            self._bucket.delete(keys.request_object(task_id))


def open_service(settings: Settings) -> JobService:
    """Return the service that ``settings`` names; connections are made when first used."""
    ledger = Ledger(connect_redis(settings, timeout=_REDIS_TIMEOUT, decode=True))
    plain = connect_redis(settings, timeout=_REDIS_TIMEOUT, decode=False)
    inside = settings.s3_endpoint_url
    outside = settings.s3_public_endpoint_url or inside
    s3 = connect_s3(settings, endpoint_url=inside, read_timeout=_S3_TIMEOUT)
    public_s3 = connect_s3(settings, endpoint_url=outside, read_timeout=_S3_TIMEOUT)
    bucket = Bucket(s3, settings.bucket)
    staging = Bucket(s3, settings.staging_bucket)
    return JobService(
        settings,
        ledger=ledger,
        bucket=bucket,
        public_bucket=Bucket(public_s3, settings.bucket),
        dispatcher=Dispatcher(make_broker(settings, plain)),
        rates=Rates(plain, settings.rate_per_minute, settings.rate_per_day),
        checks={"redis": ledger.ping, "s3": bucket.check, "s3_staging": staging.check},
    )


__all__ = [
    "TERMINAL",
    "ApiKey",
    "ApiKeys",
    "Bundle",
    "Download",
    "EnqueueError",
    "Item",
    "JobRequest",
    "JobService",
    "JobStatus",
    "LedgerUnavailableError",
    "NewApiKey",
    "ObjectMissingError",
    "Role",
    "Settings",
    "SettingsError",
    "Standing",
    "State",
    "StoreUnavailableError",
    "UnknownApiKeyError",
    "Window",
    "configure_logging",
    "open_service",
    "parse_task_id",
    "unknown_variables",
]
