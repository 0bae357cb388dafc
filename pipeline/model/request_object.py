"""The request object: an accepted request in S3, laid out so that a chunk reads only its own items.

First a line of JSON, the :class:`~pipeline.model.records.RequestHead`, then one JSON array of items
a chunk, one after another. The head says where each array stands, counted from the end of the
head's line.
"""

from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from pipeline.model.jobs import Item, JobRequest
from pipeline.model.records import Idempotency, RequestHead

_LONGEST_REQUEST_ID = 64  # characters, none of which is longer in JSON
_items_decoder = msgspec.json.Decoder(list[Item])


class Acceptance(NamedTuple):
    """As which job a request is accepted.

    Attributes:
        task_id: the new job's id.
        key_id: the API key that sent it.
        created_at: when it is accepted, in milliseconds since the epoch.
        idempotency: of its Idempotency-Key, if it has one.
        key_name: whose the API key is.
        request_id: of the HTTP request, for the log; at most 64 characters.
    """

    task_id: str
    key_id: str
    created_at: int
    idempotency: Idempotency | None
    key_name: str
    request_id: str = ""


def encode_head(request: JobRequest, acceptance: Acceptance) -> tuple[RequestHead, bytes]:
    """Return the head, and the head's line, behind which the chunks of items stand.

    Args:
        request: checked.
        acceptance: as which job, whose, and when.
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
    )
    # As long whatever the HTTP request's id: the same request sent again may be written over this,
    # while the ledger has the places of the items in this.
    padding = b" " * (_LONGEST_REQUEST_ID - len(acceptance.request_id))
    # Release 0.2.0 reads the moment in seconds as well.
    stored = {**msgspec.to_builtins(head), "accepted_at": head.accepted_at}
    return head, msgspec.json.encode(stored) + padding + b"\n"


def decode_head(data: bytes) -> RequestHead:
    """Return the head of a request object.

    Args:
        data: the object, or at least its first line.

    Raises:
        msgspec.DecodeError: it is not the layout that this version writes.
    """
    return msgspec.json.decode(data.partition(b"\n")[0], type=RequestHead)


def decode_items(data: bytes) -> list[Item]:
    """Return the items of one chunk from the bytes that its range names.

    Raises:
        msgspec.DecodeError: these are not the bytes of a chunk.
    """
    return _items_decoder.decode(data)
