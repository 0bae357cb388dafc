"""The request object: an accepted request in S3, with one readable byte range per chunk.

The first line is JSON, the :class:`~pipeline.model.records.RequestHead`. One JSON array of items
per chunk follows. The head has the offset of each array, counted from the end of the first line.
The last line is JSON, the :class:`~pipeline.model.records.RequestTail`. It is omitted if all its
fields have their defaults.

If a client repeats a request, the new object may overwrite the first one while the ledger still has
the offsets of the first one. Therefore the first line of a request always has the same length, in
this release and in release 0.2.0. Fields that 0.2.0 does not know are in the last line. A client
may repeat a request with another key of its tenant, so the first line names the tenant's first key,
and the last line names the key that sent the request.
"""

from itertools import accumulate, pairwise
from typing import NamedTuple

import msgspec

from pipeline.model.jobs import Item, JobRequest
from pipeline.model.layout import FIRST_LAYOUT, needed_version
from pipeline.model.records import Idempotency, RequestHead, RequestTail

_LONGEST_REQUEST_ID = 64  # characters, none of which JSON escapes
_items_decoder = msgspec.json.Decoder(list[Item])


class Acceptance(NamedTuple):
    """Identity of the job that is created from a request.

    Attributes:
        task_id: id of the new job.
        key_id: id of the tenant, which is the id of its first API key.
        created_at: time of acceptance, in milliseconds since the epoch.
        idempotency: digests of the Idempotency-Key and the request; None if the request has no
            Idempotency-Key.
        key_name: name of the API key that sent the request.
        request_id: id of the HTTP request, for the log; at most 64 characters.
        sent_by: id of the API key that sent the request; empty if that is ``key_id``.
        tenant_name: name of the tenant's first API key; empty if that is ``key_name``.
    """

    task_id: str
    key_id: str
    created_at: int
    idempotency: Idempotency | None
    key_name: str
    request_id: str = ""
    sent_by: str = ""
    tenant_name: str = ""


def encode_head(request: JobRequest, acceptance: Acceptance) -> tuple[RequestHead, bytes]:
    """Return the head of a request object, as a struct and as the object's first line.

    Args:
        request: the checked request.
        acceptance: the identity of the job.
    """
    ends = accumulate(map(len, request.items.chunks), initial=0)
    head = RequestHead(
        version=needed_version(request.format, request.layout),
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
        warnings_total=request.warnings_total,
        layout=request.layout,
        sent_by=acceptance.sent_by,
    )
    # The line's length must not depend on the request id, which differs when a client repeats the
    # request.
    padding = b" " * (_LONGEST_REQUEST_ID - len(acceptance.request_id))
    stored = msgspec.to_builtins(head)
    del stored["warnings_total"], stored["layout"], stored["sent_by"]
    stored["key_name"] = acceptance.tenant_name or acceptance.key_name
    if head.idempotency is not None:
        stored["idempotency"].pop("meaning_sha256", None)
    # Release 0.2.0 also reads the time of acceptance in seconds.
    stored["accepted_at"] = head.accepted_at
    return head, msgspec.json.encode(stored) + padding + b"\n"


def decode_head(data: bytes) -> RequestHead:
    """Return the head of a request object.

    Args:
        data: the object, or at least its first line.

    Raises:
        msgspec.DecodeError: If the line does not have the layout of this schema version.
    """
    return msgspec.json.decode(data.partition(b"\n")[0], type=RequestHead)


def encode_tail(request: JobRequest, acceptance: Acceptance) -> bytes:
    """Return the last line of a request object; empty if all its fields have their defaults."""
    idempotency, key_name = acceptance.idempotency, acceptance.key_name
    tail = RequestTail(
        warnings=request.warnings,
        warnings_total=request.warnings_total,
        meaning_sha256=idempotency.meaning_sha256 if idempotency else "",
        layout=None if request.layout == FIRST_LAYOUT else request.layout,
        sent_by=acceptance.sent_by,
        key_name=key_name if acceptance.tenant_name not in {"", key_name} else "",
    )
    return b"" if tail == RequestTail() else b"\n" + msgspec.json.encode(tail) + b"\n"


def tail_offset(head: RequestHead, head_bytes: int) -> int:
    """Return where the last line of a request object begins, in bytes.

    Args:
        head: the object's head.
        head_bytes: size of the first line.
    """
    offset, length = head.ranges[-1]
    return head_bytes + offset + length


def decode_tail(data: bytes) -> RequestTail:
    """Return the last line of a request object.

    Args:
        data: the line; empty if the object has none.

    Raises:
        msgspec.DecodeError: If the line does not have the layout of this schema version.
    """
    return msgspec.json.decode(data, type=RequestTail) if data else RequestTail()


def complete_head(head: RequestHead, tail: RequestTail) -> RequestHead:
    """Return a decoded head completed with the values of the last line."""
    idempotency = head.idempotency
    if idempotency is not None:
        idempotency = msgspec.structs.replace(idempotency, meaning_sha256=tail.meaning_sha256)
    return msgspec.structs.replace(
        head,
        warnings_total=tail.warnings_total,
        layout=tail.layout or FIRST_LAYOUT,
        idempotency=idempotency,
        sent_by=tail.sent_by,
        key_name=tail.key_name or head.key_name,
    )


def decode_items(data: bytes | str) -> list[Item]:
    """Return the items of one chunk.

    Args:
        data: the chunk's range of the request object, or the copy of it in the ledger.

    Raises:
        msgspec.DecodeError: If the data is not a chunk's items.
    """
    return _items_decoder.decode(data)
