"""Redis, S3 and the broker, opened in one place for every role of the service."""

from functools import cached_property

from redis import Redis

from pipeline.broker.factory import BrokerParts, open_broker
from pipeline.ledger.connection import open_redis
from pipeline.ledger.ledger import Ledger
from pipeline.settings import Settings
from pipeline.storage.clients import Storage, open_storage
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import Staging, make_staging


class Backends:
    """The clients of Redis, S3 and the broker, each created at its first use.

    Creating a client opens no connection. The client connects when it sends its first command.

    Args:
        settings: addresses and credentials of the backends.
        redis_timeout: seconds to wait for a connection to Redis, and for each reply.
        s3_timeout: seconds to wait for the response to each attempt of an S3 request.
        s3_attempts: maximum number of attempts of an S3 request.
        broker_timeout: seconds to wait for RabbitMQ, if that is the broker; defaults to
            ``redis_timeout``.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        redis_timeout: float,
        s3_timeout: int,
        s3_attempts: int = 3,
        broker_timeout: float | None = None,
    ) -> None:
        self._settings = settings
        self._redis_timeout = redis_timeout
        self._s3_timeout, self._s3_attempts = s3_timeout, s3_attempts
        self._broker_timeout = redis_timeout if broker_timeout is None else broker_timeout

    @cached_property
    def redis(self) -> Redis:
        """A Redis client that decodes responses, for the ledger and other state in Redis."""
        return open_redis(self._settings.redis_url, timeout=self._redis_timeout, decode=True)

    @cached_property
    def undecoded_redis(self) -> Redis:
        """A Redis client that returns bytes, for Dramatiq."""
        return open_redis(self._settings.redis_url, timeout=self._redis_timeout)

    @cached_property
    def broker(self) -> BrokerParts:
        """The broker, with access to its queues and workers."""
        return open_broker(
            self._settings, self.redis, self.undecoded_redis, timeout=self._broker_timeout
        )

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger."""
        return Ledger(self.redis)

    @cached_property
    def storage(self) -> Storage:
        """The main bucket and the staging bucket.

        Raises:
            SettingsError: If boto3's own configuration is invalid or names no credentials.
        """
        return open_storage(
            self._settings, read_timeout=self._s3_timeout, attempts=self._s3_attempts
        )

    @cached_property
    def records(self) -> JobRecords:
        """The records of jobs in the main bucket."""
        return JobRecords(self.storage.bucket)

    @cached_property
    def staging(self) -> Staging:
        """The staged chunks, in the layout that ``QRMILL_STAGING`` selects."""
        return make_staging(self._settings.staging, self.storage.staging_bucket)
