"""Connections that wait for their clients, and how long each of them may."""

import math
from collections.abc import Iterator
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from api.http.deadlines import Deadlines

#: Seconds for which a connection is not ended to make room, so that a new one can send a request.
_GRACE = 0.5


class Phase(StrEnum):
    """What a connection waits for; each value names its field of :class:`Deadlines`."""

    CLOSING = "closing"
    HEAD = "head"
    BODY = "body"
    IDLE = "idle"
    RESPONSE = "response"


class Waiting(Protocol):
    """A connection, as far as this module knows it."""

    phase: Phase | None
    address: str | None

    def __hash__(self) -> int: ...


Conn = TypeVar("Conn", bound=Waiting)


class Waits(Generic[Conn]):
    """Connections that wait for their clients, by phase, the longest wait first.

    Args:
        deadlines: longest wait of each phase.
    """

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._since: dict[Phase, dict[Conn, float]] = {phase: {} for phase in Phase}

    def begin(self, conn: Conn, phase: Phase, now: float) -> None:
        """Let ``conn`` wait in a new phase."""
        self.end(conn)
        conn.phase = phase
        self._since[phase][conn] = now

    def end(self, conn: Conn) -> None:
        """End the wait of ``conn``, if it waits."""
        if conn.phase is not None:
            del self._since[conn.phase][conn]
            conn.phase = None

    def overdue(self, now: float) -> list[Conn]:
        """Return the connections whose deadline has passed."""
        found = []
        for phase, since in self._since.items():
            latest = now - getattr(self._deadlines, phase)
            for conn, begun in since.items():
                if begun > latest:
                    break
                found.append(conn)
        return found

    def seconds_left(self, now: float) -> float:
        """Return the time until the next deadline in seconds; infinite if nothing waits."""
        ends = (
            next(iter(since.values())) + float(getattr(self._deadlines, phase))
            for phase, since in self._since.items()
            if since
        )
        return max(0.0, min(ends, default=math.inf) - now)

    def longest(self, now: float, address: str | None = None) -> Conn | None:
        """Return the connection whose end does the least harm; None if all of them are new.

        Connections that are closing come first, then those with an incomplete request.

        Args:
            now: current monotonic time.
            address: client network whose connections are considered; None for all.
        """
        for since in self._since.values():
            for conn, begun in since.items():
                if now - begun < _GRACE:
                    break
                if address is None or conn.address == address:
                    return conn
        return None

    def hasten(self, seconds: float, now: float) -> None:
        """Leave connections that wait for a request at most ``seconds`` more, now and later."""
        self._deadlines = self._deadlines._replace(
            idle=min(seconds, self._deadlines.idle), head=min(seconds, self._deadlines.head)
        )
        for phase in (Phase.IDLE, Phase.HEAD):
            self._since[phase] = dict.fromkeys(self._since[phase], now)

    def __iter__(self) -> Iterator[Conn]:
        return (conn for since in self._since.values() for conn in [*since])
