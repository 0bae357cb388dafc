"""The Idempotency-Keys of requests, in a real Redis."""

import itertools
from collections.abc import Iterator

import pytest
import redis

from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis
from pipeline.ledger.idempotency import IdempotencyError, IdempotencyKeys
from pipeline.model.records import Idempotency
from pipeline.settings import Settings

KEY = "of the header"


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    found = open_redis(settings.redis_url, timeout=5, decode=True)
    yield found
    found.close()


def of(body: str, meaning: str) -> Idempotency:
    return Idempotency(KEY, body, meaning)


@pytest.mark.parametrize(
    ("first", "second"), [*itertools.product([*itertools.product("ab", ("", "m", "n"))], repeat=2)]
)
def test_a_match_of_body_or_meaning_is_a_replay(
    client: redis.Redis, first: tuple[str, str], second: tuple[str, str]
) -> None:
    """An empty meaning is that of release 0.2.0, and matches nothing."""
    idempotency = IdempotencyKeys(client)
    idempotency.reserve("owner", of(*first), "task").confirm()
    matches = first[0] == second[0] or (first[1] == second[1] != "")
    if not matches:
        with pytest.raises(IdempotencyError) as raised:
            idempotency.reserve("owner", of(*second), "other")
        assert not raised.value.busy
        return
    replay = idempotency.reserve("owner", of(*second), "other")
    assert (replay.task_id, replay.replayed) == ("task", True)


def test_a_request_of_the_same_meaning_waits_for_the_first_and_takes_it_over(
    client: redis.Redis,
) -> None:
    idempotency = IdempotencyKeys(client)
    first = idempotency.reserve("owner", of("a", "m"), "task")
    with pytest.raises(IdempotencyError) as raised:
        idempotency.reserve("owner", of("b", "m"), "other")
    assert raised.value.busy
    first.expire()
    second = idempotency.reserve("owner", of("b", "m"), "other")
    assert (second.task_id, second.is_takeover, second.replayed) == ("task", True, False)
    second.confirm()
    for body in ("b", "c"):
        assert idempotency.reserve("owner", of(body, "m"), "other").replayed


def test_a_key_of_release_0_2_0_is_compared_by_its_body(client: redis.Redis) -> None:
    name = keys.idempotency("owner", KEY)
    client.hset(name, mapping={"body": "a", "task_id": "task", "done": 1})
    idempotency = IdempotencyKeys(client)
    assert idempotency.reserve("owner", of("a", "m"), "other").replayed
    with pytest.raises(IdempotencyError):
        idempotency.reserve("owner", of("b", "m"), "other")


def test_a_key_that_is_recorded_again_keeps_the_meaning(client: redis.Redis) -> None:
    idempotency = IdempotencyKeys(client)
    idempotency.confirm("owner", of("a", "m"), "task", age=1000)
    assert idempotency.reserve("owner", of("b", "m"), "other").replayed
