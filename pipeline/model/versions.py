"""Schema version of the data that processes of different releases exchange.

Messages (option ``version``), ledger entries (field ``version``) and the records of a job in S3
(field ``version``) carry the schema version. Data without this field has version 1.

A release may add a field with a default, an actor, a key or a queue without raising the version,
because an older process ignores what it does not know. The version rises only when an older release
would misread the data. A new version takes two releases: the first reads both versions, and the
second writes the new version. Messages on Redis channels are bare names and have no version; a new
meaning needs a new channel.

Versions 2 and 3 of ledger entries and request objects are an exception to these two releases.
Version 2 means only that the job has a layout that release 0.2.0 does not know, and version 3 that
its items have fields beyond lot, serial and expiry. Each job has the lowest version that its own
fields need, so release 0.2.0 processes the jobs of version 1, and does not touch the others, whose
images it would render differently. Messages stay at version 1.

A process leaves data of a higher version to processes of the newer release: it requeues such a
message, and does not change such a ledger entry or record.
"""

from typing import Annotated

import msgspec

from pipeline.errors import NewerVersionError

#: The highest version that this release can read.
VERSION = 3
#: The version of the messages that this release sends.
MESSAGE_VERSION = 1


class _Stamp(msgspec.Struct):
    version: Annotated[int, msgspec.Meta(ge=1)] = 1


def version_of(record: bytes) -> int:
    """Return the schema version of a record in S3.

    Raises:
        msgspec.DecodeError: If ``record`` is not a valid record.
    """
    return msgspec.json.decode(record, type=_Stamp).version


def is_newer(version: int) -> bool:
    """Return whether a version is higher than this release can read."""
    return version > VERSION


def refuse_newer(version: int, what: str) -> None:
    """Raise an error if a newer release wrote an entry, object or message.

    Args:
        version: schema version of the entry, object or message; 1 if it has none.
        what: name of the entry, object or message, for the error message.

    Raises:
        NewerVersionError: If the version is higher than this release can read.
    """
    if is_newer(version):
        raise NewerVersionError(
            f"{what} has schema version {version}; this release reads versions up to {VERSION}"
        )
