"""Loopback ports: free ones, and the ones that a data directory had before.

The S3 port stands inside presigned URLs, so a client that holds one must still reach the same
server after a restart: a data directory keeps its ports as long as nobody else has taken them.
"""

import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from deploy.embedded.files import write_private

LOOPBACK = "127.0.0.1"


class PortTakenError(Exception):
    """Somebody else listens on a port that was asked for; the message says which."""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """The ports of one data directory's servers, and where each part shows its metrics."""

    redis: int
    s3: int
    metrics: dict[str, int] = {}


def free_port() -> int:
    """Return a loopback port that nobody listens on, and that nobody else gets for a minute.

    A connection of its own has stood on the port and was closed from the port's side, which leaves
    it in TIME_WAIT (RFC 9293, 3.3.2): Linux gives such a port to nobody who asks for any port, and
    still to a server that names it.
    """
    with _bound(0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), listener.accept()[0]:
            return int(address[1])


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    try:
        _bound(port).close()
    except OSError:
        return False
    return True


def wanted_port(port: int) -> int:
    """Return ``port``, or any free one for 0.

    Raises:
        PortTakenError: the port is taken, or may not be opened by this user.
    """
    if port == 0:
        return free_port()
    try:
        _bound(port).close()
    except OSError as error:
        raise PortTakenError(
            f"Port {port} of {LOOPBACK} cannot be opened ({error.strerror}). "
            "Choose another one with --port, or --port 0 for any free one."
        ) from None
    return port


def remembered_ports(path: Path, parts: Sequence[str] = ()) -> Ports:
    """Return the ports kept in ``path``, a taken one replaced, and keep the answer there.

    Args:
        path: of the file.
        parts: names of the parts that have metrics.
    """
    before = _read(path)
    shown = before.metrics if before else {}
    ports = Ports(
        redis=_still_free(before.redis if before else None),
        s3=_still_free(before.s3 if before else None),
        metrics={part: _still_free(shown.get(part)) for part in parts} or shown,
    )
    if ports != before:
        write_private(path, msgspec.json.encode(ports))
    return ports


def _still_free(port: int | None) -> int:
    return port if port is not None and is_free(port) else free_port()


def _read(path: Path) -> Ports | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ports)
    except (FileNotFoundError, msgspec.DecodeError):
        return None  # ports can always be chosen anew


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # As servers do it, so that connections in TIME_WAIT do not count as taken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener
