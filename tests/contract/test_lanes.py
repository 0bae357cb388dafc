"""Lanes on a real Redis: which queues get messages, by what consumers noted."""

import time
from collections.abc import Iterator

import pytest
import redis
from structlog.testing import capture_logs

from pipeline.broker.lanes import ConsumerNotes, Lanes, lane_of
from pipeline.broker.names import ALL_QUEUES, BUNDLE_QUEUES, EXPRESS_QUEUES, RENDER_QUEUES
from pipeline.ledger import keys
from pipeline.service import Settings

TENANTS = [f"tenant-{number}" for number in range(40)]


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as found:
        yield found


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def chosen(lanes: Lanes) -> set[str]:
    return {lanes.render_queue(tenant) for tenant in TENANTS}


def test_a_tenant_gets_its_lane_while_consumers_read_it(client: redis.Redis) -> None:
    ConsumerNotes(client).note(*ALL_QUEUES)
    lanes = Lanes(client)
    for tenant in TENANTS:
        assert lanes.render_queue(tenant) == RENDER_QUEUES[lane_of(tenant)]
        assert lanes.express_queue(tenant) == EXPRESS_QUEUES[lane_of(tenant)]
        assert lanes.bundle_queue(tenant) == BUNDLE_QUEUES[lane_of(tenant)]


def test_beside_old_workers_only_the_first_lane_gets_messages(client: redis.Redis) -> None:
    """Workers of 0.2.0 write heartbeats and note no queue."""
    client.zadd(keys.HEARTBEATS, {"worker:old:1:aa": time.time() * 1000})
    assert chosen(Lanes(client)) == {"render"}


@pytest.mark.parametrize(
    ("noted", "wanted"),
    [
        (("render-2",), {"render", "render-2"}),
        (("express-2", "bundle"), {"render"}),  # workers of other queues
        (("render-2", "render-3", "render-4"), {"render", "render-2", "render-3", "render-4"}),
        (("render-9",), {"render"}),  # of a later release
    ],
)
def test_a_lane_that_nobody_reads_gets_nothing(
    client: redis.Redis, noted: tuple[str, ...], wanted: set[str]
) -> None:
    ConsumerNotes(client).note(*noted)
    assert chosen(Lanes(client)) == wanted


def test_a_lane_whose_consumers_have_stopped_gets_nothing(client: redis.Redis) -> None:
    clock = Clock()
    lanes = Lanes(client, clock)
    ConsumerNotes(client).note("render-2")
    assert chosen(lanes) == {"render", "render-2"}
    client.zadd(keys.CONSUMED, {"render-2": (time.time() - 21) * 1000})
    assert chosen(lanes) == {"render", "render-2"}  # remembered
    clock.now += 1.1
    assert chosen(lanes) == {"render"}


def test_a_note_is_written_every_few_seconds(client: redis.Redis) -> None:
    clock = Clock()
    notes = ConsumerNotes(client, clock)
    notes.note("render-2")
    client.delete(keys.CONSUMED)
    clock.now += 4.9
    notes.note("render-2", "render-3")
    assert client.zrange(keys.CONSUMED, 0, -1) == ["render-3"]
    clock.now += 0.2
    notes.note("render-2", "render-3")
    assert {*client.zrange(keys.CONSUMED, 0, -1)} == {"render-2", "render-3"}


def test_a_refused_note_is_logged_and_stops_no_consumer(client: redis.Redis) -> None:
    """As with the users.acl of 0.2.0, which does not have the key."""
    client.acl_setuser("few", enabled=True, nopass=True, commands=["+@all"], keys=["dramatiq:*"])
    few = redis.Redis(
        port=client.get_connection_kwargs()["port"],
        username="few",
        password="x",
        decode_responses=True,
    )
    with capture_logs() as logs:
        ConsumerNotes(few).note("render-2")
    assert [(each["event"], each["queues"]) for each in logs] == [("queue not noted", ["render-2"])]
    assert "PermissionError" in logs[0]["reason"] or "NoPermission" in logs[0]["reason"]
    assert chosen(Lanes(few)) == {"render"}
    client.acl_deluser("few")
