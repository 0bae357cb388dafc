"""HTTP proxies of the environment, which the servers of tests must not be reached through."""

import socket
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress

VARIABLES = ("http_proxy", "https_proxy", "all_proxy")
#: Names by which tests reach this machine.
_LOOPBACK = ("127.0.0.1", "localhost")


def exempt_loopback(environ: MutableMapping[str, str]) -> None:
    """Exempt loopback from the proxies in ``environ``, which stay for all other hosts."""
    before = environ.get("no_proxy") or environ.get("NO_PROXY", "")
    hosts = [name for name in map(str.strip, before.split(",")) if name]
    if "*" not in hosts:
        hosts += [name for name in _LOOPBACK if name not in hosts]
    environ["no_proxy"] = environ["NO_PROXY"] = ",".join(hosts)


def without_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` without its proxies."""
    return {name: value for name, value in environ.items() if name.lower() not in VARIABLES}


class RecordingProxy:
    """An HTTP proxy that records the first line of every request and answers 502."""

    def __init__(self, server: socket.socket) -> None:
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{server.getsockname()[1]}"
        self._server = server

    def serve(self) -> None:
        """Serve until the socket is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                with connection, suppress(OSError):
                    self.requests.append(connection.recv(65536).decode("latin-1").split("\r\n")[0])
                    connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    def environment(self) -> dict[str, str]:
        """Return the variables that name this proxy, in both cases, and exempt no host."""
        own = dict.fromkeys(VARIABLES, self.url) | {"no_proxy": ""}
        return own | {name.upper(): value for name, value in own.items()}


@contextmanager
def recording_proxy() -> Iterator[RecordingProxy]:
    """Run a proxy on loopback for the block."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = RecordingProxy(server)
        thread = threading.Thread(target=proxy.serve, daemon=True)
        thread.start()
        yield proxy
        server.shutdown(socket.SHUT_RDWR)  # wakes the thread
    thread.join(10)
