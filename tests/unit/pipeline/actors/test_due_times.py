"""Order in which a worker processes what its consumers have fetched."""

import time
from queue import PriorityQueue

import dramatiq
from dramatiq.brokers.stub import StubBroker

from pipeline.actors.declare import TimedActor


def actor(name: str, delay: int) -> dramatiq.Actor[..., None]:
    return dramatiq.actor(
        broker=StubBroker(), actor_class=TimedActor, actor_name=name, priority=delay
    )(lambda: None)


def test_what_is_fetched_first_is_due_first() -> None:
    small = actor("small", 0)
    first = small.priority
    time.sleep(0.002)
    assert first < small.priority


def test_a_small_job_overtakes_what_was_fetched_just_before_it() -> None:
    large, small = actor("large", 300), actor("small", 0)
    fetched = large.priority
    assert small.priority < fetched


def test_a_flood_delays_a_chunk_by_its_delay_only() -> None:
    """One thread, and a flood that always has a message ready."""
    large, small = actor("large", 30), actor("small", 0)
    queue: PriorityQueue[tuple[int, int, str]] = PriorityQueue()
    begun = time.monotonic()
    queue.put((large.priority, 0, "large"))
    number, taken = 1, ""
    while taken != "large":
        queue.put((small.priority, number, "small"))
        _, _, taken = queue.get()
        time.sleep(0.001)
        number += 1
        assert time.monotonic() < begun + 10, "the chunk starves"
    assert number > 5
