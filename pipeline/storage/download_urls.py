"""Download URLs of bundles: signed anew at every poll, and true about when they end."""

from typing import NamedTuple

from pipeline.model.records import Bundle
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.clock_skew import ClockSkew
from pipeline.storage.credentials import CredentialsExpiry


class Download(NamedTuple):
    """A URL that downloads a bundle, and when it stops working, in seconds since the epoch."""

    url: str
    expires_at: int


class DownloadUrls:
    """Signs download URLs; nothing is sent but for new credentials.

    Args:
        bucket: as clients reach it.
        credentials: it signs with these.
        clock_skew: corrects the clock that it signs by.
        ttl: seconds a URL works, unless the bundle or the credentials expire before.
    """

    def __init__(
        self, bucket: Bucket, credentials: CredentialsExpiry, clock_skew: ClockSkew, *, ttl: int
    ) -> None:
        self._bucket = bucket
        self._credentials = credentials
        self._clock_skew = clock_skew
        self._ttl = ttl

    def lifetime(self, bundle: Bundle) -> int:
        """Return for how many seconds a URL would work that is signed now.

        Raises:
            StoreUnavailableError: the credentials have expired, and there are no new ones.
        """
        left = self._credentials.seconds_left()
        kept = bundle.expires_at - int(self._clock_skew.now())
        least = min(self._ttl, kept) if left is None else min(self._ttl, kept, int(left))
        return max(1, least)

    def sign(self, task_id: str, bundle: Bundle, *, lifetime: int | None = None) -> Download:
        """Return a URL of a completed job's bundle.

        Args:
            task_id: the job.
            bundle: its bundle.
            lifetime: of the URL, if :meth:`lifetime` was called just before.

        Raises:
            StoreUnavailableError: the credentials have expired, and there are no new ones.
        """
        if lifetime is None:
            lifetime = self.lifetime(bundle)
        now = int(self._clock_skew.now())
        key = keys.bundle_object(task_id)
        url = self._bucket.presign(key, seconds=lifetime, filename=f"{task_id}.zip")
        return Download(url, now + lifetime)
