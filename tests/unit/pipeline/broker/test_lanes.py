"""Lanes: the same in every process, evenly filled, and used only while a consumer reads them."""

import secrets
import subprocess
import sys
from collections import Counter

import redis

from pipeline.broker.lanes import ConsumerNotes, Lanes, lane_of
from pipeline.broker.names import BUNDLE_QUEUES, EXPRESS_QUEUES, LANES, RENDER_QUEUES


def test_lanes_are_the_same_in_every_process() -> None:
    tenants = [secrets.token_hex(6) for _ in range(50)]
    code = f"from pipeline.broker.lanes import lane_of; print([lane_of(t) for t in {tenants!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str([lane_of(tenant) for tenant in tenants])


def test_lanes_are_even() -> None:
    counts = Counter(lane_of(secrets.token_hex(6)) for _ in range(8000))
    assert sorted(counts) == [*range(LANES)]
    assert max(counts.values()) < 1.15 * min(counts.values())


def test_the_first_lane_has_the_queues_of_every_release() -> None:
    firsts = (RENDER_QUEUES[0], EXPRESS_QUEUES[0], BUNDLE_QUEUES[0])
    assert firsts == ("render", "express", "bundle")
    assert len({*RENDER_QUEUES, *EXPRESS_QUEUES, *BUNDLE_QUEUES}) == 3 * LANES


def test_without_redis_everything_goes_to_the_first_lane() -> None:
    client = redis.Redis(port=1, decode_responses=True, socket_timeout=0.1)
    lanes = Lanes(client)
    found = {lanes.render_queue(tenant) for tenant in map(str, range(20))}
    assert found == {"render"}
    assert {lanes.express_queue(tenant) for tenant in map(str, range(20))} == {"express"}


def test_notes_without_queues_need_no_redis() -> None:
    ConsumerNotes(redis.Redis(port=1)).note()
