"""How long the credentials last that S3 requests and download URLs are signed with.

A presigned URL ends with the credentials that signed it, whatever it says itself (S3 User Guide,
"Sharing objects with presigned URLs"). Keys of the settings have no end. Those of a role have one:
botocore fetches new ones a quarter of an hour before it, by this machine's clock and by whichever
way gave it the first: a web identity token, a container's or an instance's endpoint, another role.
"""

from typing import TYPE_CHECKING

from botocore.credentials import Credentials, RefreshableCredentials

from pipeline.errors import StoreUnavailableError
from pipeline.storage.clock_skew import ClockSkew
from pipeline.storage.errors import translated

if TYPE_CHECKING:
    from datetime import datetime

#: Seconds before their end at which credentials count as ended: clocks differ.
_MARGIN = 30
#: The method, as botocore names it, of an EC2 instance's role. Near the end of its credentials
#: botocore says of them that they last for 25 minutes at most from now
#: (``InstanceMetadataFetcher._evaluate_expiration``), which is not their end.
_INSTANCE, _INSTANCE_MARGIN = "iam-role", 25 * 60
#: Seconds these have at least: new ones are there five minutes before the end of the old (EC2 User
#: Guide, "Retrieve security credentials from instance metadata").
_INSTANCE_LEAST = 60


class CredentialsExpiry:
    """The time left of credentials that renew themselves.

    Args:
        credentials: those that the clients sign with; None when there are none.
        clock_skew: corrects the clock that their end is compared with.
    """

    def __init__(self, credentials: Credentials | None, clock_skew: ClockSkew) -> None:
        self._credentials = credentials
        self._clock_skew = clock_skew

    @property
    def method(self) -> str | None:
        """How they were found, as botocore names it; None when there are none."""
        return None if self._credentials is None else self._credentials.method

    def seconds_left(self) -> float | None:
        """Return for how many seconds a URL may work that is signed now; None for no end.

        They are renewed first if that is due.

        Raises:
            StoreUnavailableError: they have ended, and cannot be renewed.
        """
        if not isinstance(self._credentials, RefreshableCredentials):
            return None
        with translated():
            self._credentials.get_frozen_credentials()
        # What is signed after this is signed with these or with later ones.
        end: datetime = self._credentials._expiry_time  # type: ignore[attr-defined] # noqa: SLF001
        left = end.timestamp() - self._clock_skew.now()
        if self._credentials.method == _INSTANCE:
            return max(left - _INSTANCE_MARGIN, _INSTANCE_LEAST)
        if left <= _MARGIN:
            raise StoreUnavailableError("the credentials have ended", "ExpiredToken")
        return left - _MARGIN

    @property
    def unknown(self) -> bool:
        """Whether the expiry is unknown: a session token that came without one."""
        return (
            self._credentials is not None
            and not isinstance(self._credentials, RefreshableCredentials)
            and self._credentials.token is not None
        )
