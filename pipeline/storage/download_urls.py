"""Presigned download URLs of bundles, signed at every poll, with their actual expiry."""

from typing import NamedTuple

from pipeline.model.records import Bundle
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.clock_skew import ClockSkew
from pipeline.storage.credentials import CredentialsExpiry


class Download(NamedTuple):
    """A URL that downloads a bundle, and its expiry in seconds since the epoch."""

    url: str
    expires_at: int


class DownloadUrls:
    """The signer of download URLs; it sends no request, except to renew credentials.

    Args:
        bucket: main bucket at its public endpoint.
        credentials: expiry of the credentials that sign the URLs.
        clock_skew: clock correction for the signatures.
        ttl: lifetime of a URL in seconds; shorter if the bundle or the credentials expire earlier.
    """

    def __init__(
        self, bucket: Bucket, credentials: CredentialsExpiry, clock_skew: ClockSkew, *, ttl: int
    ) -> None:
        self._bucket = bucket
        self._credentials = credentials
        self._clock_skew = clock_skew
        self._ttl = ttl

    def lifetime(self, bundle: Bundle) -> int:
        """Return the lifetime in seconds of a URL that is signed now; at least 1.

        Raises:
            StoreUnavailableError: the credentials have expired and cannot be renewed.
        """
        left = self._credentials.seconds_left()
        kept = bundle.expires_at - int(self._clock_skew.now())
        least = min(self._ttl, kept) if left is None else min(self._ttl, kept, int(left))
        return max(1, least)

    def sign(self, task_id: str, bundle: Bundle, *, lifetime: int | None = None) -> Download:
        """Return a download URL for a completed job's bundle.

        Args:
            task_id: id of the job.
            bundle: bundle of the job.
            lifetime: seconds that :meth:`lifetime` has just returned; computed if None.

        Raises:
            StoreUnavailableError: the credentials have expired and cannot be renewed.
        """
        if lifetime is None:
            lifetime = self.lifetime(bundle)
        now = int(self._clock_skew.now())
        key = keys.bundle_object(task_id)
        url = self._bucket.presign(key, seconds=lifetime, filename=f"{task_id}.zip")
        return Download(url, now + lifetime)
