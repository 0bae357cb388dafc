"""When a client may be told 304 that has a download URL."""

from hypothesis import example, given
from hypothesis import strategies as st

from api.resources.task import url_window

DAY = 86_400


@given(
    signed=st.integers(0, DAY),
    works=st.integers(1, 7 * DAY),
    asked_after=st.integers(0, DAY),
    would_work=st.integers(1, 7 * DAY),
)
@example(signed=0, works=1, asked_after=1, would_work=1)
def test_in_one_window_every_url_still_works(
    signed: int, works: int, asked_after: int, would_work: int
) -> None:
    before = url_window(works, signed)
    now = url_window(would_work, signed + asked_after)
    if before == now:
        assert asked_after < works


@given(seconds=st.integers(2, 7 * DAY), now=st.integers(0, DAY))
def test_a_window_is_a_quarter_of_a_urls_life_or_more(seconds: int, now: int) -> None:
    length, number = url_window(seconds, now)
    assert seconds / 4 < length <= seconds / 2
    assert number * length <= now < (number + 1) * length
