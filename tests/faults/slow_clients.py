"""Clients that hold connections: they send slowly, not at all, or do not read the response."""

import asyncio
import socket
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

#: Seconds between two bytes of a slow client, and before it connects again.
_PAUSE = 1.0
#: Seconds for which a client keeps a connection whose response it does not read.
_UNREAD = 90.0

_HEAD = "Host: localhost\r\nX-API-Key: {key}\r\n"
_UPLOAD = f"POST /qr/bulk/ HTTP/1.1\r\n{_HEAD}Content-Type: application/json\r\n"
_SIGN_IN = (
    "POST /ops/sign-in HTTP/1.1\r\nHost: localhost\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\n"
)


class SlowClient(NamedTuple):
    """A kind of client that holds a connection.

    Attributes:
        source: loopback address that all clients of the kind have.
        number: number of clients.
        begun: what each sends at once; ``{key}`` stands for the API key.
        rest: byte that is sent every second afterwards.
        closes: closes its sending side after ``begun``.
        reads: reads the response.
    """

    source: str
    number: int
    begun: str
    rest: bytes = b""
    closes: bool = False
    reads: bool = True


SLOW_CLIENTS: Mapping[str, SlowClient] = {
    "slow heads": SlowClient("127.0.0.2", 200, "GET /qr/bulk/ HTTP/1.1\r\nX-Padding: ", b"x"),
    "slow sign-in": SlowClient("127.0.0.3", 200, f"{_SIGN_IN}Content-Length: 60000\r\n\r\n", b"x"),
    # More than one address may have.
    "idle": SlowClient("127.0.0.4", 900, ""),
    "half-open": SlowClient("127.0.0.5", 100, "GET /qr/bulk/ HT", closes=True),
    "unread": SlowClient(
        "127.0.0.6",
        50,
        "GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20,
        reads=False,
    ),
    "slow uploads": SlowClient("127.0.0.7", 120, f"{_UPLOAD}Content-Length: 400000\r\n\r\n", b" "),
    "slow uploads without a length": SlowClient(
        "127.0.0.7", 40, f"{_UPLOAD}Transfer-Encoding: chunked\r\n\r\n4000\r\n", b" "
    ),
}


async def hold(client: SlowClient, port: int, api_key: str, outcomes: Counter[str]) -> None:
    """Connect again and again, and count how each connection ends."""
    begun = client.begun.format(key=api_key).encode()
    while True:
        with socket.socket() as connection:
            connection.settimeout(0)
            connection.bind((client.source, 0))
            try:
                outcomes[await _held(client, connection, port, begun)] += 1
            except OSError as error:
                outcomes[type(error).__name__] += 1
        await asyncio.sleep(_PAUSE)


async def _held(client: SlowClient, connection: socket.socket, port: int, begun: bytes) -> str:
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    await loop.sock_sendall(connection, begun)
    if client.closes:
        connection.shutdown(socket.SHUT_WR)
    if not client.reads:
        await asyncio.sleep(_UNREAD)
        return "unread"
    return await _drip(connection, client.rest)


async def _drip(connection: socket.socket, rest: bytes) -> str:
    """Send ``rest`` every second until a response arrives; return its status."""
    loop = asyncio.get_running_loop()
    response = asyncio.ensure_future(loop.sock_recv(connection, 4096))
    try:
        while not response.done():
            await asyncio.wait({response}, timeout=_PAUSE)
            if not response.done():
                await loop.sock_sendall(connection, rest)
        return response.result()[9:12].decode() or "closed"
    finally:
        response.cancel()
