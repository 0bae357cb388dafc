"""Which connection ends next, and when."""

import math

from api.connections.address_limit import AddressLimit
from api.connections.open_files import connections_within
from api.connections.phases import Phase, Waits
from api.http.deadlines import Deadlines


class Conn:
    def __init__(self, address: str | None = None) -> None:
        self.phase: Phase | None = None
        self.address = address


def test_each_phase_has_its_own_deadline() -> None:
    waits: Waits[Conn] = Waits(Deadlines(idle=75, head=20, body=60))
    idle, head, body = Conn(), Conn(), Conn()
    assert waits.seconds_left(0) == math.inf
    for conn, phase in ((idle, Phase.IDLE), (head, Phase.HEAD), (body, Phase.BODY)):
        waits.begin(conn, phase, 100)
    assert (waits.overdue(119), waits.seconds_left(119)) == ([], 1)
    assert waits.overdue(120) == [head]
    waits.begin(head, Phase.BODY, 120)
    assert waits.overdue(165) == [body]
    waits.end(body)
    waits.end(body)
    assert (body.phase, waits.overdue(175)) == (None, [idle])


def test_who_waits_longest_ends_first_and_a_new_one_never() -> None:
    waits: Waits[Conn] = Waits(Deadlines())
    idle, head, closing = Conn("a"), Conn("b"), Conn("a")
    waits.begin(idle, Phase.IDLE, 1)
    waits.begin(head, Phase.HEAD, 5)
    assert waits.longest(1.1) is None
    assert waits.longest(5.1) is idle  # the other one is new
    assert waits.longest(10) is head
    assert waits.longest(10, "a") is idle
    waits.begin(closing, Phase.CLOSING, 9)
    assert waits.longest(10) is closing
    assert waits.longest(10, "c") is None


def test_at_a_stop_only_what_a_client_might_send_is_hastened() -> None:
    waits: Waits[Conn] = Waits(Deadlines())
    idle, body = Conn(), Conn()
    waits.begin(idle, Phase.IDLE, 0)
    waits.begin(body, Phase.BODY, 0)
    waits.hasten(2, 50)
    assert waits.overdue(51) == []
    assert waits.overdue(52) == [idle]
    assert waits.overdue(60) == [body, idle]


def test_a_network_is_full_until_one_of_its_connections_ends() -> None:
    limit = AddressLimit(2)
    for _ in range(2):
        assert not limit.is_full("a")
        limit.add("a")
    assert (limit.is_full("a"), limit.is_full("b")) == (True, False)
    limit.remove("a")
    assert not limit.is_full("a")
    limit.remove("a")
    assert not limit._counts  # nothing is kept of a client that has left


def test_connections_leave_room_for_other_files() -> None:
    found = {files: connections_within(files, 1528) for files in (-1, 64, 256, 1024, 4096, 10**9)}
    assert found == {-1: 1528, 64: 32, 256: 128, 1024: 768, 4096: 1528, 10**9: 1528}
