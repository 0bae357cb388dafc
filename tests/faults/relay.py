"""HTTP/1.1 messages passed on byte for byte, so that signatures of the headers stay valid."""

import asyncio
from collections.abc import AsyncIterator
from typing import NamedTuple

_PIECE = 64 * 1024
_WITHOUT_BODY = {204, 304}


class Head(NamedTuple):
    """A message's first line and headers: as they came, and looked at."""

    raw: bytes
    first: tuple[str, str, str]
    headers: dict[str, str]

    @property
    def method(self) -> str:
        return self.first[0]

    @property
    def target(self) -> str:
        return self.first[1]

    @property
    def status(self) -> int:
        return int(self.first[1])

    @property
    def length(self) -> int:
        return int(self.headers.get("content-length", "0"))

    @property
    def chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Return the next message's head; None when the peer has closed the connection before it."""
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *lines = raw.decode("latin-1").split("\r\n")
    headers = dict(line.split(":", 1) for line in lines if line)
    words = [*first.split(" ", 2), ""]
    folded = {name.strip().lower(): value.strip() for name, value in headers.items()}
    return Head(raw, (words[0], words[1], words[2]), folded)


async def request_body(reader: asyncio.StreamReader, head: Head) -> AsyncIterator[bytes]:
    """Yield the pieces of a request's body."""
    pieces = _chunks(reader) if head.chunked else _counted(reader, head.length)
    async for piece in pieces:
        yield piece


async def response_body(
    reader: asyncio.StreamReader, head: Head, method: str
) -> AsyncIterator[bytes]:
    """Yield the pieces of the body of a response to ``method``."""
    if method == "HEAD" or head.status in _WITHOUT_BODY:
        return
    pieces = _chunks(reader) if head.chunked else _counted(reader, head.length)
    async for piece in pieces:
        yield piece


async def pass_on(pieces: AsyncIterator[bytes], writer: asyncio.StreamWriter) -> None:
    """Write the pieces as they come."""
    async for piece in pieces:
        writer.write(piece)
        await writer.drain()


async def first_bytes(pieces: AsyncIterator[bytes], number: int) -> AsyncIterator[bytes]:
    """Yield the first ``number`` bytes of the pieces."""
    async for piece in pieces:
        yield piece[:number]
        number -= len(piece)
        if number <= 0:
            return


async def _counted(reader: asyncio.StreamReader, length: int) -> AsyncIterator[bytes]:
    while length:
        piece = await reader.read(min(length, _PIECE))
        if not piece:
            raise asyncio.IncompleteReadError(b"", length)
        length -= len(piece)
        yield piece


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield chunks with their framing (RFC 9112, section 7.1)."""
    size = -1
    while size != 0:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        yield line + (await reader.readexactly(size + 2) if size else b"")
    trailer = b""
    while trailer != b"\r\n":
        trailer = await reader.readuntil(b"\r\n")
        yield trailer
