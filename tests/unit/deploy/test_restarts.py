from itertools import pairwise

from deploy.embedded.restarts import LIMIT, WINDOW, Deaths


def deaths_at(*times: float) -> Deaths:
    deaths = Deaths()
    for time in times:
        deaths.add(time)
    return deaths


def test_the_delay_doubles_up_to_ten_seconds() -> None:
    delays = [deaths_at(*[0.0] * count).delay() for count in range(1, 12)]
    assert delays[:4] == [0.25, 0.5, 1.0, 2.0]
    assert all(before <= after for before, after in pairwise(delays))
    assert delays[-1] == 10.0


def test_the_fifth_death_within_a_minute_is_too_many() -> None:
    assert not deaths_at(0, 1, 2, 3).too_many()
    assert deaths_at(0, 1, 2, 3, WINDOW - 0.1).too_many()


def test_deaths_a_minute_ago_are_forgiven() -> None:
    deaths = deaths_at(0, 1, 2, 3, WINDOW)
    assert not deaths.too_many()
    deaths.add(10 * WINDOW)
    assert deaths.delay() == 0.25


def test_the_delays_before_giving_up_fit_in_the_window() -> None:
    # Else a part that dies at once would be started for ever.
    assert sum(deaths_at(*[0.0] * count).delay() for count in range(1, LIMIT)) < WINDOW / 2
