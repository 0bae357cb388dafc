"""Admission to the backlog: the tenant over its share is rejected, and no other tenant."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from pipeline.broker.backlog import Backlog, BacklogFullError
from pipeline.broker.redis_queues import RedisQueues
from pipeline.ledger import keys, unprocessed
from pipeline.ledger.unprocessed import UnprocessedChunks
from pipeline.service import Settings

Jobs = Callable[..., None]


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as found:
        yield found


@pytest.fixture
def jobs(client: redis.Redis) -> Jobs:
    """Create jobs in flight, with a message for each chunk that is not staged."""

    def create(tenant: str, number: int, chunks: int = 10, staged: int = 0) -> None:
        with client.pipeline(transaction=False) as pipe:
            for index in range(number):
                task_id = f"{tenant}-{index}"
                pipe.hset(keys.job(task_id), mapping={"key_id": tenant, "chunks": chunks})
                pipe.zadd(keys.ACTIVE_JOBS, {task_id: index})
                for chunk in range(staged):
                    pipe.hset(keys.staged(task_id), str(chunk), "{}")
                for chunk in range(staged, chunks):
                    pipe.hset(keys.messages("render"), f"{task_id}-{chunk}", "{}")
            pipe.execute()

    return create


def backlog(client: redis.Redis, limit: int) -> Backlog:
    return Backlog(client, RedisQueues(client), limit)


def admitted(client: redis.Redis, limit: int, tenant: str, chunks: int = 10) -> bool:
    try:
        backlog(client, limit).admit(chunks, tenant)
    except BacklogFullError:
        return False
    return True


def test_below_half_everybody_is_admitted(client: redis.Redis, jobs: Jobs) -> None:
    jobs("hog", 9)
    assert admitted(client, 200, "hog")
    assert admitted(client, 200, "other")


def test_above_half_the_tenant_over_its_share_is_rejected(client: redis.Redis, jobs: Jobs) -> None:
    jobs("hog", 15)
    jobs("small", 1, chunks=3)
    assert not admitted(client, 200, "hog", 1)
    assert [admitted(client, 200, each) for each in ("small", "new")] == [True, True]
    assert admitted(client, 200, "small", 63)  # a third of the limit
    assert not admitted(client, 200, "small", 64)


def test_above_the_limit_others_are_still_admitted(client: redis.Redis, jobs: Jobs) -> None:
    for tenant in ("hog", "second", "third"):
        jobs(tenant, 10)
    assert not any(admitted(client, 200, each, 1) for each in ("hog", "second", "third"))
    assert admitted(client, 200, "fourth", 30)


def test_a_tenant_without_chunks_may_send_a_job_of_any_size(
    client: redis.Redis, jobs: Jobs
) -> None:
    jobs("hog", 30)
    assert admitted(client, 200, "large", 500)
    assert not admitted(client, 200, "hog", 1)


def test_what_a_tenant_has_finished_does_not_count(client: redis.Redis, jobs: Jobs) -> None:
    jobs("hog", 15)
    jobs("quick", 10, staged=10)  # their bundles are not built
    assert admitted(client, 200, "quick", 50)
    assert not admitted(client, 200, "quick", 57)


def test_the_jobs_of_one_second_count_in_this_process(client: redis.Redis, jobs: Jobs) -> None:
    jobs("hog", 12)
    limited = backlog(client, 200)
    limited.admit(10, "other")  # the ledger does not have it
    for _ in range(5):
        limited.admit(10, "other")
    with pytest.raises(BacklogFullError):
        limited.admit(10, "other")


def test_the_rejected_learn_when_they_have_room(client: redis.Redis, jobs: Jobs) -> None:
    jobs("hog", 11)
    with pytest.raises(BacklogFullError) as full:
        backlog(client, 200).admit(10, "hog")
    assert full.value.retry_after == 600
    client.hset(keys.DRAINED, str(int(time.time()) // 10), 60)
    with pytest.raises(BacklogFullError) as full:
        backlog(client, 200).admit(10, "hog")
    assert full.value.retry_after == 20  # twenty chunks at one per second


def test_the_limit_is_told_apart_from_the_share(client: redis.Redis, jobs: Jobs) -> None:
    jobs("hog", 11)
    for chunks, over_limit in ((10, False), (90, False), (91, True)):
        with pytest.raises(BacklogFullError) as full:
            backlog(client, 200).admit(chunks, "hog")
        assert full.value.over_limit == over_limit


@pytest.mark.parametrize("number", [0, 1, 99, 100, 101, 250, 2000])
def test_every_job_is_counted(client: redis.Redis, jobs: Jobs, number: int) -> None:
    jobs("one", number, chunks=2)
    assert UnprocessedChunks(client).by_tenant() == ({"one": 2 * number} if number else {})


def test_every_tenant_is_counted_however_its_jobs_are_spread(
    client: redis.Redis, jobs: Jobs
) -> None:
    jobs("first", 90, chunks=1)
    jobs("second", 190, chunks=2)
    assert UnprocessedChunks(client).by_tenant() == {"first": 90, "second": 380}


def test_many_jobs_are_estimated_in_bounded_time(
    client: redis.Redis, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unprocessed, "_BATCH", 10)
    jobs("hog", 3000, chunks=2)
    jobs("other", 300, chunks=4)
    client.config_resetstat()
    found = UnprocessedChunks(client).by_tenant()
    assert found["hog"] == pytest.approx(6000, rel=0.3)
    stats: dict[str, Any] = client.info("commandstats")
    assert stats["cmdstat_evalsha"]["calls"] <= 20


def test_a_job_that_is_being_deleted_does_not_count(client: redis.Redis, jobs: Jobs) -> None:
    jobs("one", 2)
    client.delete(keys.job("one-0"))
    assert UnprocessedChunks(client).by_tenant() == {"one": 10}
