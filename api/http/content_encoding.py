"""Content codings of request bodies: gzip, inflated within bounds."""

import zlib
from collections.abc import Callable, Iterator
from http import HTTPStatus

from api.http.problems import ProblemError

#: Bytes that are read, and at most inflated, at a time.
PIECE_BYTES = 64 * 1024
#: zlib's window of 32 KiB, and 16 for the gzip format (zlib manual, inflateInit2).
_GZIP = 16 + zlib.MAX_WBITS
#: Members of a gzip body; each, even an empty one, takes its time.
_MOST_MEMBERS = 1000


def inflate(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what gzip ``pieces`` hold, at most :data:`PIECE_BYTES` bytes at a time.

    Members may follow one another (RFC 1952, section 2.2), and nothing else may.
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
        raise malformed_gzip("it breaks off")


def malformed_gzip(reason: str) -> ProblemError:
    """Return the 400 of a body that is not gzip, or damaged."""
    return ProblemError(
        HTTPStatus.BAD_REQUEST, "malformed_gzip", f"The body is not gzip, or damaged: {reason}."
    )


def unsupported_coding(coding: str) -> ProblemError:
    """Return the 415 of a body with another content coding than gzip."""
    return ProblemError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_coding",
        f"The body's Content-Encoding is {coding!r}; send it with gzip, or without any.",
        headers={"Accept-Encoding": "gzip"},  # RFC 7694, section 3
    )


#: Content coding -> what yields a body without it.
DECODERS: dict[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {
    "identity": iter,
    "gzip": inflate,
    "x-gzip": inflate,  # RFC 9110, section 8.4.1.3: the same
}
