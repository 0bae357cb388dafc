"""Loopback ports of the stack, kept in the data directory across restarts.

Presigned URLs contain the S3 port, and clients use them after a restart of the stack. A data
directory therefore keeps its ports unless another process listens on them.
"""

import socket
from collections.abc import Sequence
from pathlib import Path

import msgspec

from deploy.embedded.files import write_private

LOOPBACK = "127.0.0.1"


class PortTakenError(Exception):
    """Raised when the requested port cannot be opened. The message has the port."""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Ports of the servers of one data directory, and metrics ports by process name."""

    redis: int
    s3: int
    metrics: dict[str, int] = {}


def free_port() -> int:
    """Return a free loopback port that Linux does not assign to another process for a minute.

    The function opens a connection to the port and closes it from the server's side, which leaves
    the port in TIME_WAIT (RFC 9293, 3.3.2). Linux does not assign such a port to a process that
    binds port 0, but a server can still bind it by its number (with SO_REUSEADDR).
    """
    with _bound(0) as listener:
        address = listener.getsockname()
        with socket.create_connection(address), listener.accept()[0]:
            return int(address[1])


def is_free(port: int) -> bool:
    """Return whether a server can listen on this loopback port now."""
    try:
        _bound(port).close()
    except OSError:
        return False
    return True


def wanted_port(port: int) -> int:
    """Return ``port``, or a free port if ``port`` is 0.

    Raises:
        PortTakenError: the port is in use, or this user may not open it.
    """
    if port == 0:
        return free_port()
    try:
        _bound(port).close()
    except OSError as error:
        raise PortTakenError(
            f"Port {port} of {LOOPBACK} cannot be opened ({error.strerror}). "
            "Choose another port with --port, or use --port 0 to select a free port."
        ) from None
    return port


def remembered_ports(path: Path, parts: Sequence[str] = ()) -> Ports:
    """Return the ports stored in ``path``; replace ports that are in use, and store the result.

    Args:
        path: path of the file.
        parts: names of the processes that have metrics.
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
        return None  # new ports are chosen instead


def _bound(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # Servers set this option as well. Without it, a port in TIME_WAIT would count as in use.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, port))
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener
