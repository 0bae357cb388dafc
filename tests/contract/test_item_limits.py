"""Limits on items, against a real Redis: a request counts with all of its items or with none."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import redis

from pipeline.auth.api_key import ApiKey
from pipeline.auth.item_limits import ItemLimitError, ItemLimits
from pipeline.ledger import keys
from pipeline.service import Settings


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as found:
        yield found


def make_key(per_minute: int = 0, per_day: int = 0) -> ApiKey:
    return ApiKey(
        key_id=uuid4().hex[:12],
        name="client",
        role="client",
        sha256="",
        created_at=0,
        items_per_minute=per_minute,
        items_per_day=per_day,
    )


def left(limits: ItemLimits, key: ApiKey) -> list[int]:
    standing = limits.standing(key)
    return [] if standing is None else [window.remaining for window in standing.windows]


def test_without_a_limit_nothing_is_counted(client: redis.Redis) -> None:
    limits = ItemLimits(client, 0, 0)
    limits.take(make_key(), 10**9)
    assert limits.standing(make_key()) is None
    assert client.keys("qrmill:rates:*") == []


@pytest.mark.parametrize(
    ("default", "own", "wanted"),
    [
        ((100, 1000), (0, 0), [100, 1000]),
        ((100, 1000), (7, 0), [7, 1000]),
        ((100, 0), (0, 0), [100]),
        ((0, 0), (0, 9), [9]),
    ],
)
def test_a_key_has_its_own_limits_or_the_defaults(
    client: redis.Redis, default: tuple[int, int], own: tuple[int, int], wanted: list[int]
) -> None:
    assert left(ItemLimits(client, *default), make_key(*own)) == wanted


def test_a_request_counts_with_all_items_or_with_none(client: redis.Redis) -> None:
    limits, key = ItemLimits(client, 0, 0), make_key(100, 150)
    limits.take(key, 60)
    with pytest.raises(ItemLimitError) as minute:
        limits.take(key, 41)
    assert (minute.value.window.seconds, minute.value.window.remaining) == (60, 40)
    assert left(limits, key) == [40, 90]
    limits.take(key, 40)
    client.delete(keys.item_rate(key.key_id, 60))  # the next minute
    limits.take(key, 50)
    with pytest.raises(ItemLimitError) as day:
        limits.take(key, 1)
    assert (day.value.window.seconds, day.value.items) == (86_400, 1)
    assert left(limits, key) == [50, 0]


def test_the_window_that_is_waited_for_longest_is_named(client: redis.Redis) -> None:
    limits, key = ItemLimits(client, 0, 0), make_key(10, 10)
    with pytest.raises(ItemLimitError) as over:
        limits.take(key, 11)
    assert over.value.window.seconds == 86_400


def test_what_was_not_accepted_is_given_back(client: redis.Redis) -> None:
    limits, key = ItemLimits(client, 0, 0), make_key(100, 200)
    limits.take(key, 60)
    limits.give_back(key, 60)
    assert left(limits, key) == [100, 200]
    limits.give_back(key, 60)  # of a window that has ended meanwhile
    assert left(limits, key) == [100, 200]


def test_giving_back_begins_no_window(client: redis.Redis) -> None:
    limits, key = ItemLimits(client, 0, 0), make_key(100)
    limits.give_back(key, 5)
    assert client.keys("qrmill:rates:*") == []


def test_the_windows_end(client: redis.Redis) -> None:
    limits, key = ItemLimits(client, 0, 0), make_key(100, 200)
    before = time.time()
    limits.take(key, 1)
    standing = limits.standing(key)
    assert standing is not None
    minute, day = standing.windows
    assert before + 59 < minute.resets_at <= time.time() + 60
    assert before + 86_399 < day.resets_at <= time.time() + 86_400


def test_many_at_once_get_no_more_than_the_limit(client: redis.Redis) -> None:
    limits, key = ItemLimits(client, 0, 0), make_key(100)

    def take(_: int) -> bool:
        try:
            limits.take(key, 7)
        except ItemLimitError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(40))) == 14
