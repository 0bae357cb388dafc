"""What the overview makes of what Redis says."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.broker.factory import worker_name
from pipeline.broker.heartbeats import parse_worker_name
from pipeline.broker.inspection import QueueState
from pipeline.broker.names import BUNDLE_QUEUE, RENDER_QUEUE, WEBHOOK_QUEUE
from pipeline.monitoring.overview import Minute, Overview, RedisState, _hour


@given(st.dictionaries(st.integers(0, 60_000_000), st.integers(1, 10**6)), st.integers(60, 10**7))
def test_the_hour_has_the_last_sixty_minutes_whatever_the_ring_still_holds(
    counts: dict[int, int], current: int
) -> None:
    ring = {f"items:{minute % 60}": f"{minute} {count}" for minute, count in counts.items()}
    hour = _hour(ring, current)
    assert [minute.begins_at for minute in hour] == [60 * (current - 59 + n) for n in range(60)]
    for minute in hour:
        number = minute.begins_at // 60
        kept = ring.get(f"items:{number % 60}", "").startswith(f"{number} ")
        assert minute.items == (counts[number] if kept else 0)


def overview(hour: list[Minute], queues: list[QueueState] | None = None) -> Overview:
    state = RedisState("9", 0, 0, appends=True)
    return Overview(3_630_000, queues or [], [], hour, 0, 0, state)


def test_rates_are_over_what_there_was() -> None:
    idle = [Minute(60 * n, 0, 0, 0) for n in range(61)]
    assert overview(idle).failure_rate is None
    assert overview(idle).items_a_second == 0
    busy = [*idle[:-2], Minute(3540, 600, 2, 0), Minute(3600, 345, 1, 1)]
    assert overview(busy).items_a_second == 10.5  # 945 in a minute and a half
    assert overview(busy).failure_rate == 0.25


def test_the_backlog_is_what_waits_is_delayed_or_is_worked_on() -> None:
    queues = [
        QueueState(RENDER_QUEUE, 1, 2, 4, 8, 3.0, 0.0),
        QueueState(BUNDLE_QUEUE, 16, 32, 64, 128, 5.0, 0.0),
        QueueState(WEBHOOK_QUEUE, 0, 256, 512, 1024, 0.0, 9.0),  # of jobs that have ended
    ]
    found = overview([Minute(0, 0, 0, 0)], queues)
    assert (found.backlog, found.dead, found.oldest_wait) == (119, 1160, 5.0)
    assert overview([Minute(0, 0, 0, 0)]).oldest_wait is None


def test_a_workers_name_is_told_from_the_apis() -> None:
    found = parse_worker_name(worker_name())
    assert found is not None
    assert found[1] > 0
    for name in ("1c1e4b0e-54a8-4b0c-8d2c-0d6fd0d9a8e5", "worker", "worker:a", "worker:a:b:c", ""):
        assert parse_worker_name(name) is None
