"""Event loop of the API: it accepts connections, and waits for clients in place of threads."""

import errno
import selectors
import socket
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

from api.connections.address_limit import AddressLimit
from api.connections.connection import Connection
from api.connections.phases import Phase, Waits
from api.connections.refusals import head_too_large, too_slow
from api.connections.report import CutReport
from api.connections.request_head import HEAD_BYTES, read_head
from api.gunicorn_worker import ProblemWorker, encode_response
from api.http.deadlines import Deadlines
from api.http.problems import ProblemError
from api.http.trusted_proxies import TrustedProxies, network_of

#: Connections that are kept free for new ones, by ending those that wait longest.
_SPARE = 8
#: One client may have this part of a process's connections.
_SHARE = 4
#: Seconds without accepting connections after the process or the machine ran out of open files.
_PAUSE = 0.5
_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
#: Errors of a connection that has ended before it was accepted (accept(2)).
_ENDED = {errno.EAGAIN, errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class EventLoop(ProblemWorker):
    """Worker whose event loop has the connections that no thread has.

    Subclasses give complete requests to threads (:meth:`_dispatch`), and return the connections by
    :meth:`_settle`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - of gunicorn
        super().__init__(*args, **kwargs)
        self.deadlines = Deadlines(idle=self.cfg.keepalive)
        self._proxies = TrustedProxies(",".join(self.cfg.forwarded_allow_ips))
        self._limit = AddressLimit(max(1, self.worker_connections // _SHARE))
        self._report = CutReport()
        self._accept_after = 0.0

    @classmethod
    def check_config(cls, cfg: object, log: object) -> None:
        """Check nothing: gunicorn's own check expects a connection to need a thread."""

    def init_process(self) -> None:
        """Run the worker, with the deadlines that it has by now."""
        self._waits: Waits[Connection] = Waits(self.deadlines)
        super().init_process()

    def _dispatch(self, conn: Connection) -> None:
        raise NotImplementedError

    # Accepting connections

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - of gunicorn
        """Accept connections or not; never during a pause after the process ran out of files."""
        super().set_accept_enabled(enabled and time.monotonic() >= self._accept_after)

    def accept(self, listener: socket.socket) -> None:
        """Accept a connection, unless its client has too many that cannot be ended."""
        try:
            sock, peer = listener.accept()
        except OSError as error:
            self._cannot_accept(error)
            return
        conn = Connection(self.cfg, sock, peer, listener.getsockname())
        self.nr_conns += 1
        address = peer[0] if isinstance(peer, tuple) else ""
        if not self._proxies.trusts(address) and not self._admit(conn, network_of(address)):
            self._cut(conn, "refused")
            return
        self._await(conn, Phase.IDLE)

    def _admit(self, conn: Connection, network: str) -> bool:
        if self._limit.is_full(network):
            other = self._waits.longest(time.monotonic(), network)
            if other is None:
                return False
            self._cut(other, "over_limit")
        self._limit.add(network)
        conn.address = network
        return True

    def _cannot_accept(self, error: OSError) -> None:
        if error.errno in _ENDED:
            return
        if error.errno not in _EXHAUSTED:
            raise error
        self._report.count("no_open_files")
        if not self._make_room(_SPARE):
            self._accept_after = time.monotonic() + _PAUSE

    def _make_room(self, wanted: int) -> int:
        """End up to ``wanted`` connections that wait for their clients; return the number ended."""
        for ended in range(wanted):
            conn = self._waits.longest(time.monotonic())
            if conn is None:
                return ended
            self._cut(conn, "for_room")
        return wanted

    # Waiting for clients

    def _await(self, conn: Connection, phase: Phase) -> None:
        """Let the event loop wait for the client."""
        was_sending = conn.phase is Phase.RESPONSE
        watched, sending = conn.phase is not None, phase is Phase.RESPONSE
        self._waits.begin(conn, phase, time.monotonic())
        events = selectors.EVENT_WRITE if sending else selectors.EVENT_READ
        if not watched:
            conn.sock.settimeout(0)
            self.poller.register(conn.sock, events, partial(self._on_ready, conn))
        elif sending != was_sending:
            self.poller.modify(conn.sock, events, partial(self._on_ready, conn))

    def _unwatch(self, conn: Connection) -> None:
        self._waits.end(conn)
        with suppress(KeyError, ValueError, OSError):
            self.poller.unregister(conn.sock)

    def _on_ready(self, conn: Connection, _sock: socket.socket) -> None:
        if conn.phase is Phase.RESPONSE:
            self._send_rest(conn)
        elif conn.phase is Phase.CLOSING:
            if not conn.discard():
                self._drop(conn)
        elif conn.phase is not None:  # None: ended by an event before this one
            if conn.receive():
                self._advance(conn)
            else:
                self._drop(conn)

    def _advance(self, conn: Connection) -> None:
        """Give a request to a thread if it is complete."""
        if conn.head is None:
            conn.head = read_head(conn.received)
        if conn.head is None:
            if len(conn.received) > HEAD_BYTES:
                self._refuse(conn, head_too_large())
            elif conn.phase is not Phase.HEAD:
                self._await(conn, Phase.HEAD)
        elif len(conn.received) >= conn.head.size + conn.head.body:
            self._dispatch(conn)
        elif conn.phase is not Phase.BODY:
            if conn.head.expects:
                conn.sock.sendall(_CONTINUE)
            self._await(conn, Phase.BODY)

    def _settle(self, conn: Connection) -> None:
        """Wait for the client to read the response, then to send a request or to close."""
        try:
            if conn.sock.unsent:
                self._await(conn, Phase.RESPONSE)
            elif conn.keep:
                conn.take_back()
                self._await(conn, Phase.IDLE)
                if conn.received:
                    self._advance(conn)
            else:
                conn.received.clear()
                conn.sock.shutdown(socket.SHUT_WR)
                self._await(conn, Phase.CLOSING)
        except (OSError, ValueError):  # the client has closed the connection
            self._drop(conn)

    def _send_rest(self, conn: Connection) -> None:
        try:
            conn.sock.flush()
        except OSError:
            self._drop(conn)
            return
        if not conn.sock.unsent:
            self._settle(conn)

    def _refuse(self, conn: Connection, error: ProblemError) -> None:
        """Respond without a thread, and close the connection."""
        conn.keep = False
        with suppress(OSError):
            conn.sock.sendall(encode_response(error, str(uuid.uuid4()), datetime.now(UTC)))
        self._settle(conn)

    # Ending connections

    def _drop(self, conn: Connection) -> None:
        self._unwatch(conn)
        self.nr_conns -= 1
        if conn.address is not None:
            self._limit.remove(conn.address)
        conn.close()

    def _cut(self, conn: Connection, reason: str) -> None:
        if conn.phase is not Phase.CLOSING:
            self._report.count(reason)
        self._drop(conn)

    def murder_keepalived(self, force: bool = False) -> None:  # noqa: FBT001, FBT002 - of gunicorn
        """End the connections whose deadline has passed, or all."""
        for conn in [*self._waits] if force else self._waits.overdue(time.monotonic()):
            if force:
                self._drop(conn)
            elif conn.phase in {Phase.HEAD, Phase.BODY}:
                self._report.count(f"slow_{conn.phase}")
                self._refuse(conn, too_slow(getattr(self.deadlines, conn.phase)))
            elif conn.phase is Phase.RESPONSE:
                self._cut(conn, "slow_response")
            else:
                self._drop(conn)

    def murder_pending(self) -> None:
        """Make room for new connections before there is none, and report what was ended."""
        self._make_room(self.nr_conns + _SPARE - self.worker_connections)
        self._report.write(time.monotonic())

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for events until the next deadline at the latest."""
        left = self._waits.seconds_left(time.monotonic())
        super().wait_for_and_dispatch_events(min(timeout, left))

    def _cap_keepalive(self, deadline: float) -> None:
        now = time.monotonic()
        self._waits.hasten(deadline - now, now)
