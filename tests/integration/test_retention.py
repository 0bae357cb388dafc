"""Jobs that have outlived their time: many are removed together, and nothing of them stays."""

import time
from collections.abc import Iterator

import msgspec
import pytest
import redis

from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.sweep import open_sweep
from pipeline.service import Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.contract.test_ledger import HOUR, new_head

TTL = 3600  # seconds
COMPLETED, FAILED = 20, 2


def end_long_ago(ledger: Ledger, connection: redis.Redis, bucket: Bucket, state: str) -> str:
    """Leave what an ended job leaves, but for its staging."""
    head = new_head()
    long_ago = time.time_ns() // 1_000_000 - 2 * TTL * 1000
    ledger.create_job(head, long_ago, 10, HOUR)
    connection.hset(ledger_keys.job(head.task_id), "state", state)
    connection.zrem(ledger_keys.ACTIVE_JOBS, head.task_id)
    connection.zadd(ledger_keys.ENDED_JOBS, {head.task_id: long_ago})
    for key in keys.all_objects(head.task_id):
        bucket.put(key, b"{}")
    return head.task_id


def test_a_retry_that_comes_while_a_job_is_removed_is_refused(
    settings: Settings, redis_url: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = open_sweep(msgspec.structs.replace(settings, job_ttl=TTL))
    assert sweep.once()
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        ledger = Ledger(connection)
        task_id = end_long_ago(ledger, connection, bucket, "failed")
        remove, answers = sweep._retention._records._bucket.delete_each, []

        def slowly(found: Iterator[str]) -> None:
            answers.append(ledger.retry_job(task_id, HOUR))
            remove(found)

        monkeypatch.setattr(sweep._retention._records._bucket, "delete_each", slowly)
        assert sweep.once()
        assert answers == [None]
        assert ledger.states([task_id]) == [None]


def test_many_jobs_are_removed_by_one_request(
    settings: Settings, redis_url: str, bucket: Bucket, staging_bucket: Bucket
) -> None:
    sweep = open_sweep(msgspec.structs.replace(settings, job_ttl=TTL))
    assert sweep.once()
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        ledger = Ledger(connection)
        before = set(connection.keys())
        tasks = [end_long_ago(ledger, connection, bucket, "completed") for _ in range(COMPLETED)]
        failed = [end_long_ago(ledger, connection, bucket, "failed") for _ in range(FAILED)]
        for task_id in failed:
            staging_bucket.put(keys.staged_zip(task_id, 0), b"x")
        kept = end_long_ago(ledger, connection, bucket, "completed")
        connection.zadd(ledger_keys.ENDED_JOBS, {kept: time.time_ns() // 1_000_000})
        sent: list[str] = []
        for name in ("ListObjectsV2", "DeleteObjects", "DeleteObject"):
            sweep._retention._records._bucket._client.meta.events.register(
                f"before-send.s3.{name}", lambda event_name, **_: sent.append(event_name)
            )
        sweep._retention.remove_expired_jobs()
        assert sorted(name.rpartition(".")[2] for name in sent) == [
            *["DeleteObjects"] * (FAILED + 1),  # staging, and the objects of all
            *["ListObjectsV2"] * FAILED,
        ]
        assert {*bucket.list_keys(keys.JOBS)} == {*keys.all_objects(kept)}
        assert [*staging_bucket.list_keys("")] == []
        assert ledger.states([*tasks, *failed]) == [None] * (COMPLETED + FAILED)
        left = {key for key in set(connection.keys()) - before if kept not in key}
        assert left == {ledger_keys.ALL_JOBS, ledger_keys.ENDED_JOBS, ledger_keys.jobs_of("key")}
        assert connection.zrange(ledger_keys.ALL_JOBS, 0, -1) == [kept]
