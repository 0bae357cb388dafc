"""Gunicorn's threaded worker, whose threads do not wait for slow clients.

Gunicorn's own worker gives a thread to each connection that has sent a byte, and the thread waits
for the rest of the request without a deadline. Here the event loop receives heads and small bodies,
and sends what a client is slow to read. A thread takes a request when it is complete. Only a large
body, or one of unknown size, is received by a thread, after the API key was checked; these threads
are a pool of their own, and so are those of the health checks.
"""

import errno
import selectors
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

from api.connections.address_limit import AddressLimit
from api.connections.connection import Connection
from api.connections.phases import Phase, Waits
from api.connections.refusals import (
    encode_refusal,
    head_too_large,
    too_many_requests,
    too_slow,
)
from api.connections.report import CutReport
from api.connections.request_head import HEAD_BYTES, read_head
from api.http.deadlines import Deadlines
from api.http.problems import ProblemError
from api.http.trusted_proxies import TrustedProxies, network_of

#: Threads that receive large bodies, and threads for each path of a health check.
_UPLOADS, _PROBES = 128, 4
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


class ConnectionWorker(ThreadWorker):  # type: ignore[misc] # gunicorn has no types
    """Threaded worker with deadlines, a limit per client, and threads for health checks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - of gunicorn
        super().__init__(*args, **kwargs)
        self.max_keepalived = self.worker_connections
        self.deadlines = Deadlines(idle=self.cfg.keepalive)
        self._proxies = TrustedProxies(",".join(self.cfg.forwarded_allow_ips))
        self._limit = AddressLimit(max(1, self.worker_connections // _SHARE))
        self._report = CutReport()
        self._accept_after = 0.0

    @classmethod
    def check_config(cls, cfg: object, log: object) -> None:
        """Check nothing: gunicorn's own check expects a connection to need a thread."""

    def init_process(self) -> None:
        """Create the pools of threads, and run the worker."""
        self._waits: Waits[Connection] = Waits(self.deadlines)
        self._uploads = ThreadPoolExecutor(_UPLOADS, "upload")
        self._probes: dict[bytes, ThreadPoolExecutor] = {}
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, which names the paths of its health checks."""
        super().load_wsgi()
        self._probes = {path: ThreadPoolExecutor(_PROBES, "probe") for path in self.wsgi.probes}

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

    # Requests

    def _dispatch(self, conn: Connection) -> None:
        """Give a complete request to a thread, unless its client has too many in progress."""
        if conn.address is None and conn.head is not None and conn.head.forwarded_for:
            network = network_of(self._proxies.client("", conn.head.forwarded_for))
            if self._limit.is_full(network):
                self._report.count("busy")
                self._refuse(conn, too_many_requests(self._limit.most))
                return
            self._limit.add(network)
            conn.client_network = network
        self._unwatch(conn)
        self.enqueue_req(conn)

    def enqueue_req(self, conn: Connection) -> None:
        """Give a request to a thread of its pool."""
        pool = self.tpool
        if conn.head is not None:
            pool = self._uploads if conn.head.large else self._probes.get(conn.head.path, pool)
        future = pool.submit(self.handle, conn)
        future.add_done_callback(
            lambda done: self.method_queue.defer(self.finish_request, conn, done)
        )

    def handle(self, conn: Connection) -> bool:
        """Handle a request in a thread; return whether the connection stays open."""
        conn.hand_over()
        return bool(super().handle(conn))

    def _keepalive_after(self, conn: Connection, keepalive: bool) -> bool:  # noqa: FBT001 - of gunicorn
        """Return whether the connection can be used again: not if much of the body is unread."""
        deadline = time.monotonic() + self.deadlines.unread
        return keepalive and bool(conn.parser.finish_body(deadline=deadline))

    def finish_request(self, conn: Connection, fs: "Future[bool]") -> None:
        """Take a connection back from a thread."""
        if conn.client_network is not None:
            self._limit.remove(conn.client_network)
            conn.client_network = None
        conn.keep = not fs.cancelled() and fs.exception() is None and fs.result()
        self._settle(conn)

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
            conn.sock.sendall(encode_refusal(error))
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
