"""Content codings of request bodies: gzip, decompressed in bounded steps."""

import zlib
from collections.abc import Callable, Iterator
from http import HTTPStatus

from api.http.problems import ProblemError
from render.errors import shown

#: Size in bytes of the pieces in which a body is read, and upper bound of a decompressed piece.
PIECE_BYTES = 64 * 1024
#: zlib's ``wbits``: 15 for a window of 32 KiB, plus 16 for the gzip format (zlib manual,
#: inflateInit2).
_GZIP = 16 + zlib.MAX_WBITS
#: Maximum number of members of a gzip body. Every member, even an empty one, costs CPU time.
_MOST_MEMBERS = 1000


def inflate(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress a gzip body and yield it in pieces of at most :data:`PIECE_BYTES` bytes.

    A body is one or more members, one after another, and nothing else (RFC 1952, section 2.2).

    Raises:
        ProblemError: 400 if the body is not complete and valid gzip.
    """
    member, members = zlib.decompressobj(_GZIP), 1
    for piece in pieces:
        waiting = piece
        while waiting:
            if member.eof:
                member, members = zlib.decompressobj(_GZIP), members + 1
                if members > _MOST_MEMBERS:
                    raise malformed_gzip(f"it has more than {_MOST_MEMBERS} members")
            try:
                yield member.decompress(waiting, PIECE_BYTES)
            except zlib.error as error:
                raise malformed_gzip(str(error)) from None
            waiting = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise malformed_gzip("it is incomplete")


def malformed_gzip(reason: str) -> ProblemError:
    """Return the 400 problem of a body that is not valid gzip."""
    return ProblemError(
        HTTPStatus.BAD_REQUEST,
        "malformed_gzip",
        f"The body is not valid gzip: {reason}. Compress it again, or send it uncompressed and "
        "without Content-Encoding.",
    )


def unsupported_coding(coding: str) -> ProblemError:
    """Return the 415 problem of a body with a content coding other than gzip."""
    return ProblemError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_coding",
        f"The Content-Encoding {shown(coding)} is not supported. Compress the body with gzip, or "
        "send it uncompressed and without Content-Encoding.",
        headers={"Accept-Encoding": "gzip"},  # RFC 7694, section 3
    )


#: Content coding -> function that decodes the pieces of a body.
DECODERS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    "identity": iter,
    "gzip": inflate,
    "x-gzip": inflate,  # equivalent to gzip (RFC 9110, section 8.4.1.3)
}
