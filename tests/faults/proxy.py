"""A proxy on loopback between the service and its S3 server that does harm when told to.

It passes bytes on unchanged, the ``Host`` header too, which S3's signature covers.
"""

import asyncio
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from deploy.embedded.ports import LOOPBACK
from tests.faults.relay import Head, first_bytes, pass_on, read_head, request_body, response_body

_CODES = {
    200: "InternalError",  # in the body of a success, as CompleteMultipartUpload may have it
    301: "PermanentRedirect",
    307: "TemporaryRedirect",
    403: "AccessDenied",
    500: "InternalError",
    503: "SlowDown",
    507: "InsufficientStorage",
}
_BROKEN = (ConnectionError, asyncio.IncompleteReadError)
_WRITES = frozenset({"PUT", "POST"})


@dataclass(frozen=True, slots=True)
class Mode:
    """What is done to requests.

    Attributes:
        refused: share of the requests that are answered with one of ``statuses``.
        statuses: of those answers.
        methods: the ones refused; empty for all.
        code: of the error in those answers; empty for the usual one of the status.
        headers: lines that those answers have besides.
        delay: seconds that each request waits before it is passed on.
        cut: share of the response bodies that end at a random place, with the connection.
        lost: share of the answers that are kept back, with the connection, once the server has
            done what it was asked.
    """

    refused: float = 0.0
    statuses: tuple[int, ...] = (500, 503)
    methods: frozenset[str] = frozenset()
    code: str = ""
    headers: str = ""
    delay: float = 0.0
    cut: float = 0.0
    lost: float = 0.0


PASS = Mode()
FAILING = Mode(refused=0.3)
SLOW = Mode(delay=5.0)
CUTTING = Mode(cut=0.3)
FULL = Mode(refused=1.0, statuses=(507,), methods=_WRITES)


class Seen(NamedTuple):
    """A request, the local port of the process that sent it, and headers by lower-case name."""

    method: str
    target: str
    peer_port: int
    headers: dict[str, str]


#: Told of every request before it is passed on, on the proxy's own thread.
Watch = Callable[[Seen], None]


class FaultProxy:
    """Listens from the start, and answers between ``start`` and ``stop``."""

    def __init__(self, upstream_port: int) -> None:
        self.mode = PASS
        self.done: Counter[str] = Counter()
        self.watch: Watch = lambda _: None
        self._upstream_port = upstream_port
        self._listener = socket.create_server((LOOPBACK, 0))
        self._random = random.Random(4)
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="proxy")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._serving: set[asyncio.Task[None]] = set()  # asyncio itself holds them weakly

    @property
    def url(self) -> str:
        """The address that the service is given for its S3 server's."""
        return f"http://{LOOPBACK}:{self._listener.getsockname()[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread.is_alive():
            self._thread.join(10)
        self._listener.close()

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        server = await asyncio.start_server(self._accept, sock=self._listener)
        await self._stopping.wait()
        server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        try:
            behind, upstream = await asyncio.open_connection(LOOPBACK, self._upstream_port)
            while head := await read_head(reader):
                port = writer.get_extra_info("peername")[1]
                self.watch(Seen(head.method, head.target, port, head.headers))
                if not await self._answer(head, (reader, writer), (behind, upstream)):
                    break
        except _BROKEN:
            self.done["broken"] += 1  # a peer was killed, or is not there
        finally:
            for end in (writer, upstream):
                if end is not None:
                    end.close()

    async def _answer(
        self,
        head: Head,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        server: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> bool:
        """Answer one request; False when the connection cannot be used again."""
        mode = self.mode
        if mode.delay:
            self.done["delayed"] += 1
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), mode.delay)
        chosen = not mode.methods or head.method in mode.methods
        if chosen and self._random.random() < mode.refused:
            await self._refuse(head, client, self._random.choice(mode.statuses))
            return False
        server[1].write(head.raw)
        sending = asyncio.create_task(pass_on(request_body(client[0], head), server[1]))
        try:
            whole = await self._pass_response(head, client[1], server[0], mode)
            # A server may answer before it has read the body; then neither end knows what follows.
            return whole and sending.done() and sending.exception() is None
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, *_BROKEN):
                await sending

    async def _refuse(
        self, head: Head, client: tuple[asyncio.StreamReader, asyncio.StreamWriter], status: int
    ) -> None:
        self.done[str(status)] += 1
        if "expect" not in head.headers:  # else the client waits for leave to send the body
            async for _ in request_body(client[0], head):
                pass
        code = self.mode.code or _CODES[status]
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{code}</Code><Message>A fault was asked for.</Message>"
            "<RequestId>fault</RequestId></Error>"
        ).encode()
        client[1].write(
            f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n{self.mode.headers}\r\n".encode()
            + (b"" if head.method == "HEAD" else body)
        )
        await client[1].drain()

    async def _pass_response(
        self, head: Head, writer: asyncio.StreamWriter, reader: asyncio.StreamReader, mode: Mode
    ) -> bool:
        while True:
            response = await read_head(reader)
            if response is None:
                return False
            if response.status != 100 and self._random.random() < mode.lost:
                self.done["lost"] += 1
                return False
            writer.write(response.raw)
            if response.status != 100:  # Continue: the answer is still to come
                break
            await writer.drain()
        pieces = response_body(reader, response, head.method)
        # Only an answer that has said how long it is can be seen to end too early.
        if head.method == "GET" and response.length > 1 and self._random.random() < mode.cut:
            self.done["cut"] += 1
            await pass_on(first_bytes(pieces, self._random.randrange(response.length)), writer)
            return False
        await pass_on(pieces, writer)
        return True
