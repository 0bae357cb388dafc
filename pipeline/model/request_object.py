"""The request object: an accepted request in S3 from which a chunk reads only its own items.

The first line is JSON, the :class:`~pipeline.model.records.RequestHead`. One JSON array of items
per chunk follows. The head has the offset of each array, counted from the end of the first line.
"""

from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from pipeline.model.jobs import Item, JobRequest
from pipeline.model.records import Idempotency, RequestHead

_LONGEST_REQUEST_ID = 64  # characters, none of which JSON escapes
_items_decoder = msgspec.json.Decoder(list[Item])


class Acceptance(NamedTuple):
    """The identity of the job that a request becomes.

    Attributes:
        task_id: id of the new job.
        key_id: id of the API key that sent the request.
        created_at: time of acceptance, in milliseconds since the epoch.
        idempotency: the Idempotency-Key and body, if the request has such a key.
        key_name: name of the API key.
        request_id: id of the HTTP request, for the log; at most 64 characters.
    """

    task_id: str
    key_id: str
    created_at: int
    idempotency: Idempotency | None
    key_name: str
    request_id: str = ""


def encode_head(request: JobRequest, acceptance: Acceptance) -> tuple[RequestHead, bytes]:
    """Return the head of a request object, as a struct and as the object's first line.

    Args:
        request: the checked request.
        acceptance: the identity of the job.
    """
    ends = accumulate(map(len, request.items.chunks), initial=0)
    head = RequestHead(
        task_id=acceptance.task_id,
        key_id=acceptance.key_id,
        key_name=acceptance.key_name,
        request_id=acceptance.request_id,
        created_at=acceptance.created_at,
        idempotency=acceptance.idempotency,
        gtin=request.gtin,
        format=request.format,
        size=request.size,
        error_correction=request.error_correction,
        link_base=request.link_base,
        callback_url=request.callback_url,
        items=request.items.count,
        chunk_size=request.items.chunk_size,
        ranges=[(start, end - start) for start, end in pairwise(ends)],
        warnings=request.warnings,
        warnings_total=request.warnings_total,
    )
    # The line's length must not depend on the request id. The same request, sent again with another
    # request id, may overwrite this object while the ledger has the offsets of this one.
    padding = b" " * (_LONGEST_REQUEST_ID - len(acceptance.request_id))
    # Release 0.2.0 also reads the time of acceptance in seconds.
    stored = {**msgspec.to_builtins(head), "accepted_at": head.accepted_at}
    return head, msgspec.json.encode(stored) + padding + b"\n"


def decode_head(data: bytes) -> RequestHead:
    """Return the head of a request object.

    Args:
        data: the object, or at least its first line.

    Raises:
        msgspec.DecodeError: If the line does not have the layout of this schema version.
    """
    return msgspec.json.decode(data.partition(b"\n")[0], type=RequestHead)


def decode_items(data: bytes) -> list[Item]:
    """Return the items of one chunk.

    Args:
        data: the bytes of the chunk's range in the request object.

    Raises:
        msgspec.DecodeError: If the bytes are not a chunk's items.
    """
    return _items_decoder.decode(data)
