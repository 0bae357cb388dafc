"""Expiry of the credentials that sign S3 requests and download URLs.

A presigned URL expires with the credentials that signed it, even if the URL states a later time (S3
User Guide, "Sharing objects with presigned URLs"). Access keys from the settings do not expire.
The credentials of a role expire. botocore fetches new ones 15 minutes before the expiry, by the
local clock and from the original source: a web identity token, the endpoint of a container or an
instance, or another role.
"""

from typing import TYPE_CHECKING

from botocore.credentials import Credentials, RefreshableCredentials

from pipeline.errors import StoreUnavailableError
from pipeline.storage.clock_skew import ClockSkew
from pipeline.storage.errors import translated

if TYPE_CHECKING:
    from datetime import datetime

#: Seconds before their expiry at which credentials count as expired, because clocks differ.
_MARGIN = 30
#: botocore's name of the method for an EC2 instance's role, and the seconds by which the reported
#: expiry may be too late. Near the expiry of such credentials, botocore replaces the expiry with a
#: time up to 25 minutes from now (``InstanceMetadataFetcher._evaluate_expiration``).
_INSTANCE, _INSTANCE_MARGIN = "iam-role", 25 * 60
#: Least lifetime in seconds of an instance role's credentials: new ones are available five minutes
#: before the old ones expire (EC2 User Guide, "Retrieve security credentials from instance
#: metadata").
_INSTANCE_LEAST = 60


class CredentialsExpiry:
    """The remaining lifetime of credentials.

    Args:
        credentials: credentials that the S3 clients sign with; None if there are none.
        clock_skew: clock correction for comparing the expiry with the current time.
    """

    def __init__(self, credentials: Credentials | None, clock_skew: ClockSkew) -> None:
        self._credentials = credentials
        self._clock_skew = clock_skew

    @property
    def method(self) -> str | None:
        """Name that botocore gives to the source of the credentials; None without credentials."""
        return None if self._credentials is None else self._credentials.method

    def seconds_left(self) -> float | None:
        """Return the seconds for which a URL that is signed now works; None for no limit.

        Credentials that are due for renewal are renewed first. A safety margin is subtracted.

        Raises:
            StoreUnavailableError: the credentials have expired and cannot be renewed.
        """
        if not isinstance(self._credentials, RefreshableCredentials):
            return None
        with translated():
            self._credentials.get_frozen_credentials()
        # Later signatures use these credentials or newer ones, which expire later.
        end: datetime = self._credentials._expiry_time  # type: ignore[attr-defined] # noqa: SLF001
        left = end.timestamp() - self._clock_skew.now()
        if self._credentials.method == _INSTANCE:
            return max(left - _INSTANCE_MARGIN, _INSTANCE_LEAST)
        if left <= _MARGIN:
            raise StoreUnavailableError("the credentials have expired", "ExpiredToken")
        return left - _MARGIN

    @property
    def unknown(self) -> bool:
        """Whether the expiry is unknown, because a session token came without one."""
        return (
            self._credentials is not None
            and not isinstance(self._credentials, RefreshableCredentials)
            and self._credentials.token is not None
        )
