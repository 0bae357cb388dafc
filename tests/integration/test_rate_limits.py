"""RateLimits against a real Redis: what a request counts in, and what is told of it."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from pipeline.auth.api_key import ApiKey
from pipeline.auth.rate_limits import RateLimits
from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis
from pipeline.settings import Settings


@pytest.fixture
def rates(settings: Settings) -> RateLimits:
    return RateLimits(
        open_redis(settings.redis_url, timeout=5, decode=True), per_minute=3, per_day=5
    )


def make_key(per_minute: int = 0, per_day: int = 0) -> ApiKey:
    return ApiKey(
        key_id=uuid4().hex[:12],
        name="client",
        role="client",
        sha256="",
        created_at=0,
        per_minute=per_minute,
        per_day=per_day,
    )


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 10))
@examples(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_refused_request_counts_in_the_window_that_refuses_it_and_in_no_longer_one(
    rates: RateLimits, per_minute: int, per_day: int, requests: int
) -> None:
    key = make_key(per_minute, per_day)
    day = 0
    for minute in range(1, requests + 1):
        day += minute <= per_minute
        standing = rates.hit(key)
        assert standing.allowed == (minute <= per_minute and day <= per_day)
        left = [window.remaining for window in standing.windows]
        assert left == [max(0, per_minute - minute), max(0, per_day - day)]


def test_each_window_starts_anew_when_it_is_over(rates: RateLimits, settings: Settings) -> None:
    key = make_key()
    before = time.time()
    minute, day = rates.hit(key).windows
    assert before + 59 < minute.resets_at <= time.time() + 60
    assert before + 86_399 < day.resets_at <= time.time() + 86_400
    with open_redis(settings.redis_url, timeout=5, decode=True) as client:
        client.pexpire(keys.rate(key.key_id, 60), 1)
        while client.exists(keys.rate(key.key_id, 60)):
            pass
    assert [window.remaining for window in rates.hit(key).windows] == [2, 3]


def test_a_count_without_an_end_gets_one(rates: RateLimits, settings: Settings) -> None:
    key = make_key()
    with open_redis(settings.redis_url, timeout=5, decode=True) as client:
        client.set(keys.rate(key.key_id, 60), 1000)
        assert not rates.hit(key).allowed
        assert 0 < int(client.ttl(keys.rate(key.key_id, 60))) <= 60


def test_many_at_once_get_no_more_than_the_rate(rates: RateLimits) -> None:
    key = make_key(per_minute=20, per_day=100)
    with ThreadPoolExecutor(8) as pool:
        standings = list(pool.map(lambda _: rates.hit(key), range(40)))
    assert sum(standing.allowed for standing in standings) == 20
