from collections.abc import Iterator

import pytest

from pipeline.monitoring.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock of one reading, in seconds, that the test sets."""
    readings = [100.0]
    monkeypatch.setattr("pipeline.monitoring.stopwatch.time.perf_counter", lambda: readings[0])
    return readings


def test_laps_follow_one_another(clock: list[float]) -> None:
    watch = Stopwatch()
    clock[0] += 1.5
    assert watch.lap() == 1500
    clock[0] += 0.0123
    assert watch.lap() == 12.3


def test_laps_do_not_reset_the_elapsed_time(clock: list[float]) -> None:
    watch = Stopwatch()
    clock[0] += 1.5
    assert (watch.elapsed, watch.lap()) == (1500, 1500)
    clock[0] += 0.5
    assert (watch.elapsed, watch.lap()) == (2000, 500)


def test_only_the_time_in_which_pieces_come_is_waiting(clock: list[float]) -> None:
    def slow() -> Iterator[str]:
        for letter in "abc":
            clock[0] += 2
            yield letter
        clock[0] += 1  # the end takes time to come too

    watch = Stopwatch()
    taken = []
    for piece in watch.waiting_for(slow()):
        taken.append(piece)
        clock[0] += 50
    assert (taken, watch.waited) == (["a", "b", "c"], 7000)


def test_the_time_of_a_stream_that_breaks_counts(clock: list[float]) -> None:
    def broken() -> Iterator[str]:
        yield "a"
        clock[0] += 3
        raise OSError("gone")

    watch = Stopwatch()
    with pytest.raises(OSError, match="gone"):
        list(watch.waiting_for(broken()))
    assert watch.waited == 3000
