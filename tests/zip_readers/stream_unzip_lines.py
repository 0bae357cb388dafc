"""Read a ZIP from standard input with stream-unzip, from front to back."""

import hashlib
import sys
from collections.abc import Iterator

from stream_unzip import stream_unzip


def pieces() -> Iterator[bytes]:
    """Yield standard input in pieces."""
    while piece := sys.stdin.buffer.read(65536):
        yield piece


for name, _, data in stream_unzip(pieces()):
    digest = hashlib.sha256()
    for piece in data:
        digest.update(piece)
    sys.stdout.write(f"{digest.hexdigest()}\t{name.decode()}\n")
