"""Gunicorn's threaded worker, whose threads do not wait for slow clients.

Gunicorn's own worker gives a thread to each connection that has sent a byte, and the thread waits
for the rest of the request without a deadline. Here the event loop receives heads and small bodies,
and sends what a client is slow to read. A thread takes a request when it is complete. Only a large
body, or one of unknown size, is received by a thread, after the API key was checked; these threads
are a pool of their own, and so are those of the health checks.
"""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from api.connections.connection import Connection
from api.connections.event_loop import EventLoop
from api.connections.refusals import too_many_requests
from api.http.trusted_proxies import network_of

#: Threads that receive large bodies, and threads for each path of a health check.
_UPLOADS, _PROBES = 128, 4


class ConnectionWorker(EventLoop):
    """Threaded worker with deadlines, a limit per client, and threads for health checks."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - of gunicorn
        super().__init__(*args, **kwargs)
        self.max_keepalived = self.worker_connections

    def init_process(self) -> None:
        """Create the pools of threads, and run the worker."""
        self._uploads = ThreadPoolExecutor(_UPLOADS, "upload")
        self._probes: dict[bytes, ThreadPoolExecutor] = {}
        super().init_process()

    def load_wsgi(self) -> None:
        """Load the application, which names the paths of its health checks."""
        super().load_wsgi()
        self._probes = {path: ThreadPoolExecutor(_PROBES, "probe") for path in self.wsgi.probes}

    def _dispatch(self, conn: Connection) -> None:
        """Give a complete request to a thread, unless its client has too many in progress."""
        forwarded = conn.head.forwarded_for if conn.head is not None else ""
        client = self._proxies.client("", forwarded) if conn.address is None else ""
        if client:  # a trusted proxy reports it
            network = network_of(client)
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
