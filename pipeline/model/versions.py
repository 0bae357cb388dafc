"""The version of what processes of different releases hand to each other, and when it changes.

Messages (option ``version``), ledger entries (field ``version``) and the records of a job in S3
(``version``) carry it. A release may add: a field with a default, an actor, a key, a queue; the
version stays, for whoever does not know what was added reads what it knows. It rises only when an
older release would go wrong, and in two releases: the first reads both, the second writes the new
one. What has none is of version 1. Words on channels are bare names: another meaning is another
channel.

A process that meets a version above its own leaves it to a newer one: a message goes back onto its
queue, a ledger entry or a record is not touched.
"""

from typing import Annotated

import msgspec

#: What this release writes, and the highest that it reads.
VERSION = 1


class _Stamp(msgspec.Struct):
    version: Annotated[int, msgspec.Meta(ge=1)] = 1


def is_newer(record: bytes) -> bool:
    """Return whether a record in S3 was written in a version above this release's.

    Raises:
        msgspec.DecodeError: it is no record.
    """
    return msgspec.json.decode(record, type=_Stamp).version > VERSION
