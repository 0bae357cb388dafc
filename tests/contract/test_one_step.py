"""The ledger's steps of a job of one chunk: one attempt at a time, and one end."""

import uuid

import pytest
import redis

from pipeline.errors import NewerVersionError
from pipeline.ledger import keys
from pipeline.ledger.entries import ChunkWork
from pipeline.ledger.ledger import Ledger
from pipeline.model.failure_reasons import CANCELLED_BY_REQUEST, Failure
from pipeline.model.jobs import Item
from pipeline.model.records import Bundle
from tests.contract.test_announced_bundles import FIRST, HOUR, SECOND, STAGED, begin_only_chunk


@pytest.fixture
def work(ledger: Ledger) -> ChunkWork:
    """The only chunk of a job, begun by the first attempt."""
    return begin_only_chunk(ledger, [Item(serial="1"), Item(serial="2")])


def claim(
    ledger: Ledger, work: ChunkWork, claimant: str, bundle: Bundle | None = None, lease: int = HOUR
) -> bool:
    return ledger.claim_only_chunk(work.job.task_id, claimant, lease, bundle)


def complete(ledger: Ledger, work: ChunkWork, claimant: str, bundle: Bundle) -> bool | None:
    """Return whether the attempt was alone; None if it could not complete the job."""
    found = ledger.complete_only_chunk(work.job.task_id, claimant, bundle, STAGED, work.item_count)
    if found is None:
        return None
    status = ledger.status(work.job.task_id)
    assert status is not None
    assert (status.state, status.bundle, status.finished_at) == (
        "completed",
        bundle,
        found[0].finished_at,
    )
    assert (status.processed_items, status.staged) == (2, 1)
    assert ledger.staged_chunks(work.job.task_id) == [STAGED]
    return found[1]


def test_one_attempt_claims_announces_and_completes(ledger: Ledger, work: ChunkWork) -> None:
    assert claim(ledger, work, "a")
    assert not claim(ledger, work, "b", SECOND)
    assert claim(ledger, work, "a", FIRST)
    assert ledger.announced_bundles(work.job.task_id) == [FIRST]
    assert complete(ledger, work, "b", SECOND) is None
    assert complete(ledger, work, "a", FIRST) is True
    assert complete(ledger, work, "a", FIRST) is None
    assert not claim(ledger, work, "c")
    assert ledger.announced_bundles(work.job.task_id) == []
    assert ledger.begin_chunk(work.job.task_id, 0, HOUR) is None


def test_a_chunk_is_not_staged_before_its_job_is_completed(ledger: Ledger, work: ChunkWork) -> None:
    assert claim(ledger, work, "a", FIRST)
    assert ledger.staged_chunks(work.job.task_id) == []
    again = ledger.begin_chunk(work.job.task_id, 0, HOUR)
    assert again is not None
    assert (again.attempt, again.reopens) == (2, False)


def test_an_attempt_that_takes_over_is_not_alone(ledger: Ledger, work: ChunkWork) -> None:
    assert claim(ledger, work, "a", FIRST, lease=0)
    assert claim(ledger, work, "b", SECOND)
    assert complete(ledger, work, "a", FIRST) is None
    assert complete(ledger, work, "b", SECOND) is False
    assert ledger.announced_bundles(work.job.task_id) == [FIRST]


def test_a_second_attempt_is_not_alone_even_if_the_first_claimed_nothing(
    ledger: Ledger, work: ChunkWork
) -> None:
    assert ledger.begin_chunk(work.job.task_id, 0, HOUR)
    assert claim(ledger, work, "b", SECOND)
    assert complete(ledger, work, "b", SECOND) is False


def test_a_chunk_that_another_worker_has_staged_is_not_claimed(
    ledger: Ledger, work: ChunkWork
) -> None:
    assert ledger.stage_chunk(work, STAGED, HOUR) == 0
    assert not claim(ledger, work, "a")


def test_a_chunk_that_is_staged_meanwhile_counts_once(ledger: Ledger, work: ChunkWork) -> None:
    assert claim(ledger, work, "a", FIRST)
    assert ledger.stage_chunk(work, STAGED, HOUR) == 0
    assert ledger.claim_bundle(work.job.task_id, "bundler", HOUR, HOUR) is None
    assert complete(ledger, work, "a", FIRST) is False


def test_a_job_that_has_ended_is_neither_claimed_nor_completed(
    ledger: Ledger, work: ChunkWork
) -> None:
    assert claim(ledger, work, "a", FIRST)
    assert ledger.fail_job(work.job.task_id, CANCELLED_BY_REQUEST)
    assert not claim(ledger, work, "a")
    assert complete(ledger, work, "a", FIRST) is None
    assert not ledger.claim_only_chunk(str(uuid.uuid4()), "a", HOUR)


def test_an_attempt_of_a_job_that_is_retried_goes_on(ledger: Ledger, work: ChunkWork) -> None:
    """Its own announcement was completed, and the earlier one makes it look at S3."""
    assert claim(ledger, work, "a", SECOND, lease=0)
    assert ledger.fail_job(work.job.task_id, CANCELLED_BY_REQUEST)
    assert ledger.retry_job(work.job.task_id, HOUR) == [0]
    assert claim(ledger, work, "b", FIRST)
    status = ledger.status(work.job.task_id)
    assert status is not None
    assert status.state == "running"
    assert ledger.begin_chunk(work.job.task_id, 0, HOUR)
    assert complete(ledger, work, "b", FIRST) is False


def test_the_chunk_of_a_failed_job_is_staged_instead(ledger: Ledger, work: ChunkWork) -> None:
    """The requeued dead letter of the chunk reopens the job when the chunk is staged."""
    assert ledger.fail_job(work.job.task_id, Failure("x", "y"), 0, "letter")
    assert not claim(ledger, work, "a")
    again = ledger.begin_chunk(work.job.task_id, 0, HOUR, "letter")
    assert again is not None
    assert again.reopens
    assert ledger.stage_chunk(again, STAGED, HOUR) == 0


def test_the_lease_of_the_chunk_and_the_claim_are_renewed_together(
    ledger: Ledger, work: ChunkWork, redis_url: str
) -> None:
    task_id = work.job.task_id
    assert claim(ledger, work, "a", lease=0)
    ledger.renew_chunk(task_id, 0, HOUR, "another")
    assert claim(ledger, work, "b", lease=0)
    ledger.renew_chunk(task_id, 0, HOUR, "b")
    assert not claim(ledger, work, "c")
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.hget(keys.job(task_id), "claim_owner") == "b"


def test_an_entry_of_a_newer_release_is_left_alone(
    ledger: Ledger, work: ChunkWork, redis_url: str
) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.hset(keys.job(work.job.task_id), "version", 99)
    with pytest.raises(NewerVersionError):
        claim(ledger, work, "a")
