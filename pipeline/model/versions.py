"""The version of what processes of different releases hand to each other, and when it changes.

Messages (option ``version``), ledger entries (field ``version``) and the records of a job in S3
(``version``) carry it. A release may add: a field with a default, an actor, a key, a queue; the
version stays, because a process that does not know what was added reads what it knows. It rises
only when an older release would go wrong, and in two releases: the first reads both, the second
writes the new one. What has none is of version 1. Words on channels are bare names: another meaning
is another channel.

A process that meets a version above its own leaves it to a newer one: a message goes back onto its
queue, a ledger entry or a record is not touched.
"""

from typing import Annotated

import msgspec

from pipeline.errors import NewerVersionError

#: What this release writes, and the highest that it reads.
VERSION = 1


class _Stamp(msgspec.Struct):
    version: Annotated[int, msgspec.Meta(ge=1)] = 1


def version_of(record: bytes) -> int:
    """Return the version of a record in S3.

    Raises:
        msgspec.DecodeError: it is no record.
    """
    return msgspec.json.decode(record, type=_Stamp).version


def is_newer(version: int) -> bool:
    """Return whether a version is above what this release reads."""
    return version > VERSION


def refuse_newer(version: int, what: str) -> None:
    """Refuse to read what a newer release has written.

    Args:
        version: of what is to be read; 1 where it says none.
        what: is to be read, for the message.

    Raises:
        NewerVersionError: the version is above what this release reads.
    """
    if is_newer(version):
        raise NewerVersionError(
            f"{what} has version {version}, and this release reads up to {VERSION}"
        )
