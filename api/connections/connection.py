"""A connection of a client, and its socket, which never waits for the client to read."""

import socket
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import TConn

from api.connections.request_head import RequestHead, without_expectation

if TYPE_CHECKING:
    from api.connections.phases import Phase

#: Bytes that are discarded from a client after the service has closed its side. Until the client
#: has received the last response, a reset would delete it (RFC 9112, section 9.6).
_MOST_DISCARDED = 1024 * 1024
_PIECE = 64 * 1024


class ClientSocket(socket.socket):
    """Socket that keeps what the kernel cannot take at once, so that sending never waits.

    Attributes:
        unsent: data that was not sent yet. The data is referenced and not copied.
    """

    def __init__(self, accepted: socket.socket) -> None:
        kind = (accepted.family, accepted.type, accepted.proto)
        super().__init__(*kind, fileno=accepted.detach())
        self.unsent: deque[memoryview] = deque()

    def sendall(self, data: Any, flags: int = 0) -> None:  # noqa: ANN401, ARG002 - as in socket
        """Send ``data``, or keep what cannot be sent at once."""
        if len(data):
            self.unsent.append(memoryview(data).cast("B"))
            self.flush()

    def send(self, data: Any, flags: int = 0) -> int:  # noqa: ANN401 - as in socket
        """Do what :meth:`sendall` does; return the size of ``data``."""
        self.sendall(data, flags)
        return len(data)

    def flush(self) -> None:
        """Send as much of the unsent data as the kernel takes."""
        with suppress(BlockingIOError, InterruptedError):
            while self.unsent:
                sent = super().send(self.unsent[0], socket.MSG_DONTWAIT)
                self.unsent[0] = self.unsent[0][sent:]
                if not self.unsent[0]:
                    self.unsent.popleft()


class Connection(TConn):  # type: ignore[misc] # gunicorn has no types
    """Gunicorn's connection, and what has arrived of its next request.

    Attributes:
        address: network of the client, for which the connection counts; None if the peer is a
            trusted proxy.
        client: network of the client that a trusted proxy reports, for which the request counts.
        phase: what the connection waits for; None while a thread has it, and after its end.
        received: bytes of the next request that have arrived.
        head: head of the next request, if it is complete.
        keep: whether the connection stays open after the response.
    """

    def __init__(self, cfg: Any, sock: socket.socket, client: Any, server: Any) -> None:  # noqa: ANN401 - of gunicorn
        super().__init__(cfg, ClientSocket(sock), client, server)
        self.address: str | None = None
        self.client_network: str | None = None
        self.phase: Phase | None = None
        self.received = bytearray()
        self.head: RequestHead | None = None
        self.keep = False
        self._discarded = 0

    def receive(self) -> bool:
        """Receive what has arrived; return False if the client has closed the connection."""
        try:
            data = self.sock.recv(_PIECE)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        self.received += data
        return bool(data)

    def discard(self) -> bool:
        """Discard what has arrived; return False if the connection can be closed."""
        before = len(self.received)
        connected = self.receive()
        self._discarded += len(self.received) - before
        self.received.clear()
        return connected and self._discarded < _MOST_DISCARDED

    def hand_over(self) -> None:
        """Give gunicorn's parser what was received of the request and behind it."""
        self.init()
        data = bytes(self.received)
        if self.head is not None and self.head.expects:
            data = without_expectation(self.received, self.head)
        self.parser.unreader.unread(data)
        self.data_ready = True
        self.received.clear()
        self.head = None

    def take_back(self) -> None:
        """Take back what the parser has received behind the request."""
        if self.parser is not None:
            self.received += self.parser.unreader.take_buffered()
