"""Every step of the ledger, once, twice and out of turn, on a real server."""

import threading
import time
import uuid

import msgspec
import pytest
import redis

from pipeline.errors import LedgerUnavailableError
from pipeline.ledger import keys
from pipeline.ledger.connection import open_redis
from pipeline.ledger.entries import NO_MORE_NOW, OF_NO_USE, ChunkWork
from pipeline.ledger.ledger import Ledger
from pipeline.model.chunks import StagedChunk
from pipeline.model.failure_reasons import Failure
from pipeline.model.jobs import Item, JobRequest
from pipeline.model.records import Bundle, JobFields, RequestHead, Result
from pipeline.model.request_object import Acceptance, encode_head
from pipeline.model.states import State
from tests.encoded import encoded
from tests.staged import BUNDLE_TIMES, CHUNK_TIMES

NOW = 1_795_000_000
HOUR = 3_600_000
LEASE = 60_000
FAILURE = Failure("render_failed", "Chunk 1 failed.")
STAGED = StagedChunk(
    sha256="ab" * 32, bytes=100, rows_sha256="cd" * 32, rows_bytes=10, times=CHUNK_TIMES
)
BUNDLE = Bundle(bytes=1000, sha256="cd" * 32, expires_at=NOW + 86_400, times=BUNDLE_TIMES)


def new_head(items: int = 5, chunk_size: int = 2, key_id: str = "key") -> RequestHead:
    request = JobRequest(
        gtin="00012345678905",
        items=encoded([Item(serial=str(index)) for index in range(items)], chunk_size),
        format="png",
        size=400,
        error_correction="Q",
        link_base="https://id.gs1.org",
    )
    acceptance = Acceptance(str(uuid.uuid4()), key_id, NOW * 1000, None, "name")
    return encode_head(request, acceptance)[0]


def enter(ledger: Ledger, items: int = 5) -> str:
    head = new_head(items)
    assert ledger.create_job(head, NOW * 1000, 100, HOUR)
    return head.task_id


def begin(ledger: Ledger, task_id: str, chunk_index: int, message_id: str = "") -> ChunkWork:
    work = ledger.begin_chunk(task_id, chunk_index, LEASE, message_id)
    assert work is not None
    return work


def stage_all(ledger: Ledger, task_id: str, chunks: int = 3) -> None:
    for index in range(chunks):
        ledger.stage_chunk(begin(ledger, task_id, index), STAGED, HOUR)


def state(ledger: Ledger, task_id: str) -> State:
    status = ledger.status(task_id)
    assert status is not None
    return status.state


def test_the_states_of_many_jobs_are_one_command(ledger: Ledger, redis_url: str) -> None:
    tasks = [enter(ledger) for _ in range(20)]
    begin(ledger, tasks[3], 0)
    asked = [*tasks, str(uuid.uuid4())]
    ledger.states(asked)  # the script is there from now on
    with redis.Redis.from_url(redis_url) as client:
        client.config_resetstat()
        found = ledger.states(asked)
        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] == 1
    assert found == ["pending"] * 3 + ["running"] + ["pending"] * 16 + [None]


def test_a_job_is_entered_once(ledger: Ledger) -> None:
    head = new_head()
    assert ledger.create_job(head, NOW * 1000, 100, HOUR)
    begin(ledger, head.task_id, 0)
    assert not ledger.create_job(head, NOW * 1000, 100, HOUR)
    status = ledger.status(head.task_id)
    assert status is not None
    assert (status.state, status.items, status.chunks, status.created_at) == (
        "running",
        5,
        3,
        NOW * 1000,
    )
    assert status.gtin == "00012345678905"


def test_an_unknown_job_is_unknown_to_every_step(ledger: Ledger) -> None:
    known = enter(ledger)
    work = begin(ledger, known, 0)
    ledger.discard_job(known, "key")
    assert ledger.status(known) is None
    assert ledger.begin_chunk(known, 0, LEASE) is None
    assert ledger.stage_chunk(work, STAGED, HOUR) == OF_NO_USE
    assert ledger.fail_job(known, FAILURE, 0) is None
    assert ledger.claim_bundle(known, "a", 1000, HOUR) is None
    assert not ledger.renew_claim(known, "a", 1000)
    assert ledger.complete_job(known, "a", BUNDLE) is None


def test_nothing_of_a_discarded_job_stays(ledger: Ledger, redis_url: str) -> None:
    task_id = enter(ledger)
    begin(ledger, task_id, 0)
    ledger.fail_job(task_id, FAILURE, 1)
    ledger.discard_job(task_id, "key")
    with redis.Redis.from_url(redis_url) as client:
        # What was counted is not the job's.
        kept = {keys.COUNTS.encode(), keys.MINUTES.encode()}
        assert set(client.keys("qrmill:*")) <= kept


def test_a_chunk_knows_its_place(ledger: Ledger) -> None:
    head = new_head()
    ledger.create_job(head, NOW * 1000, 100, HOUR)
    last = begin(ledger, head.task_id, 2)
    assert (last.first_item, last.item_count) == (4, 1)
    assert (last.offset, last.length) == (100 + head.ranges[2][0], head.ranges[2][1])
    assert (last.job.gtin, last.job.format, last.job.accepted_at) == (head.gtin, "png", NOW)


def test_deliveries_are_counted_and_a_staged_chunk_is_not_begun_again(ledger: Ledger) -> None:
    task_id = enter(ledger)
    assert [begin(ledger, task_id, 0).attempt for _ in range(3)] == [1, 2, 3]
    ledger.stage_chunk(begin(ledger, task_id, 0), STAGED, HOUR)
    assert ledger.begin_chunk(task_id, 0, LEASE) is None


def test_a_chunk_counts_once_however_often_it_is_reported(ledger: Ledger) -> None:
    task_id = enter(ledger)
    works = [begin(ledger, task_id, index) for index in range(3)]
    assert [ledger.stage_chunk(works[0], STAGED, HOUR) for _ in range(3)] == [2, 2, 2]
    assert ledger.stage_chunk(works[2], STAGED, HOUR) == 1
    assert ledger.stage_chunk(works[1], STAGED, HOUR) == 0
    status = ledger.status(task_id)
    assert status is not None
    assert (status.staged, status.processed_items) == (3, 5)
    assert ledger.staged_chunks(task_id) == [STAGED] * 3


def test_of_chunks_staged_long_ago_no_count_is_kept(ledger: Ledger) -> None:
    task_id, current = enter(ledger), int(time.time()) // 10
    for age in range(4, 400):
        ledger._client.hset(keys.DRAINED, str(current - age), 3)
    stage_all(ledger, task_id)
    left = ledger._client.hgetall(keys.DRAINED)
    # A clock that ticks over meanwhile moves the end by one.
    assert {int(bucket) for bucket in left} <= {current + age for age in range(-7, 2)}
    assert {str(current - 4), str(current - 5)} <= set(left)
    assert sum(int(count) for bucket, count in left.items() if int(bucket) >= current) == 3


def test_staged_chunks_come_in_the_order_of_their_numbers(ledger: Ledger) -> None:
    task_id = enter(ledger, items=24)
    for index in reversed(range(12)):
        staged = StagedChunk(
            sha256="00", bytes=1, rows_sha256="01", rows_bytes=index, times=CHUNK_TIMES
        )
        ledger.stage_chunk(begin(ledger, task_id, index), staged, HOUR)
    assert [chunk.rows_bytes for chunk in ledger.staged_chunks(task_id)] == [*range(12)]


def test_a_failed_chunk_fails_the_job_at_once_and_says_why(ledger: Ledger) -> None:
    task_id = enter(ledger)
    begin(ledger, task_id, 1)
    first = ledger.fail_job(task_id, FAILURE, 1)
    assert first is not None
    assert (first.state, first.error_code, first.error) == ("failed", *FAILURE[:2])
    assert ledger.fail_job(task_id, Failure("other", "A later one."), 0) == first
    status = ledger.status(task_id)
    assert status is not None
    assert (status.error_code, status.error) == (FAILURE.code, FAILURE.detail)
    assert status.failed == 2
    assert status.finished_at is not None
    assert abs(status.finished_at / 1000 - time.time()) < 60


def test_a_chunk_that_is_staged_did_not_fail(ledger: Ledger) -> None:
    task_id = enter(ledger)
    ledger.stage_chunk(begin(ledger, task_id, 0), STAGED, HOUR)
    assert ledger.fail_job(task_id, FAILURE, 0) is None
    assert state(ledger, task_id) == "running"


def test_the_last_dead_letter_of_a_chunk_that_is_put_back_reopens_the_job(ledger: Ledger) -> None:
    task_id = enter(ledger)
    for index in (0, 1):
        ledger.fail_job(task_id, FAILURE, index, f"letter-{index}")
    first, second = (begin(ledger, task_id, index, f"letter-{index}") for index in (0, 1))
    assert ledger.stage_chunk(first, STAGED, HOUR) == NO_MORE_NOW
    assert state(ledger, task_id) == "failed"
    assert ledger.stage_chunk(second, STAGED, HOUR) == 1
    status = ledger.status(task_id)
    assert status is not None
    assert (status.state, status.error, status.error_code) == ("running", None, None)
    assert status.finished_at is None


def test_the_attempts_of_a_requeued_dead_letter_are_counted_from_0(ledger: Ledger) -> None:
    task_id = enter(ledger)
    assert [begin(ledger, task_id, 0).attempt for _ in range(3)] == [1, 2, 3]
    assert begin(ledger, task_id, 1).attempt == 1
    ledger.fail_job(task_id, FAILURE, 0, "letter")
    assert [begin(ledger, task_id, 0, "letter").attempt for _ in range(2)] == [1, 2]
    assert begin(ledger, task_id, 1).attempt == 2


def test_a_second_message_that_comes_late_does_not_reopen_a_failed_job(ledger: Ledger) -> None:
    of_chunk, of_bundle = enter(ledger), enter(ledger)
    begun = begin(ledger, of_chunk, 0, "double")
    stage_all(ledger, of_bundle)
    for task_id, chunk in ((of_chunk, 0), (of_bundle, None)):
        ledger.fail_job(task_id, FAILURE, chunk, "letter")
    assert ledger.begin_chunk(of_chunk, 0, LEASE, "double") is None
    assert ledger.stage_chunk(begun, STAGED, HOUR) == NO_MORE_NOW
    assert ledger.claim_bundle(of_bundle, "a", LEASE, HOUR, "double") is None
    for task_id in (of_chunk, of_bundle):
        assert state(ledger, task_id) == "failed"
    assert ledger.retry_job(of_chunk, HOUR) == [0, 1, 2]
    assert ledger.begin_chunk(of_chunk, 0, LEASE, "double") is not None


@pytest.mark.parametrize("failed", [{"1"}, {"0", "2"}, {"9"}])
def test_a_bundle_is_not_reopened_while_a_chunk_counts_as_failed(
    ledger: Ledger, failed: set[str]
) -> None:
    """No step leaves such an entry; what reopens a job does not rely on that."""
    task_id = enter(ledger)
    stage_all(ledger, task_id)
    ledger.fail_job(task_id, FAILURE, None, "letter")
    ledger._client.hset(keys.failures(task_id), mapping=dict.fromkeys(failed, "{}"))
    assert ledger.claim_bundle(task_id, "a", LEASE, HOUR, "letter") is None
    assert state(ledger, task_id) == "failed"
    assert ledger.active_jobs() == []
    ledger._client.delete(keys.failures(task_id))
    assert ledger.claim_bundle(task_id, "a", LEASE, HOUR, "letter")


def test_a_copy_of_a_message_that_failed_for_good_does_not_reopen_its_job(ledger: Ledger) -> None:
    of_chunk, of_bundle = enter(ledger), enter(ledger)
    begun = begin(ledger, of_chunk, 0, "message")
    stage_all(ledger, of_bundle)
    for task_id, chunk in ((of_chunk, 0), (of_bundle, None)):
        ledger.fail_job(task_id, FAILURE, chunk, "letter", "message")
    assert ledger.begin_chunk(of_chunk, 0, LEASE, "message") is None
    assert ledger.stage_chunk(begun, STAGED, HOUR) == NO_MORE_NOW
    assert ledger.claim_bundle(of_bundle, "a", LEASE, HOUR, "message") is None
    assert [state(ledger, task_id) for task_id in (of_chunk, of_bundle)] == ["failed"] * 2
    assert ledger.claim_bundle(of_bundle, "a", LEASE, HOUR, "letter")


def test_a_letter_that_was_put_back_and_failed_again_is_another(ledger: Ledger) -> None:
    task_id = enter(ledger)
    ledger.fail_job(task_id, FAILURE, 0, "letter", "message")
    begin(ledger, task_id, 0, "letter")
    ledger.fail_job(task_id, FAILURE, 0, "another", "letter")
    assert ledger.begin_chunk(task_id, 0, LEASE, "letter") is None
    assert ledger.stage_chunk(begin(ledger, task_id, 0, "another"), STAGED, HOUR) == 2
    assert state(ledger, task_id) == "running"


def test_what_is_put_back_after_the_deadline_gives_the_job_another(ledger: Ledger) -> None:
    of_chunk, of_bundle = enter(ledger), enter(ledger)
    ledger.fail_job(of_chunk, FAILURE, 1, "letter")
    stage_all(ledger, of_bundle)
    ledger.fail_job(of_bundle, FAILURE, None, "letter")
    for task_id in (of_chunk, of_bundle):
        ledger._client.hset(keys.job(task_id), "deadline_at", 1)
    ledger.stage_chunk(begin(ledger, of_chunk, 1, "letter"), STAGED, HOUR)
    assert ledger.claim_bundle(of_bundle, "a", LEASE, HOUR, "letter")
    for task_id in (of_chunk, of_bundle):
        assert state(ledger, task_id) == "running"
        assert ledger.diagnose_job(task_id, LEASE, LEASE, queues_empty=True).action == "moving"


def test_a_bundle_is_claimed_when_all_is_staged_and_by_one(ledger: Ledger) -> None:
    task_id = enter(ledger)
    assert ledger.claim_bundle(task_id, "a", 60_000, HOUR) is None
    stage_all(ledger, task_id)
    claimed = ledger.claim_bundle(task_id, "a", 60_000, HOUR)
    assert claimed is not None
    assert claimed.chunks == 3
    assert ledger.claim_bundle(task_id, "b", 60_000, HOUR) is None
    assert ledger.claim_bundle(task_id, "a", 60_000, HOUR) == claimed


def test_fifty_claims_at_once_have_one_winner(ledger: Ledger) -> None:
    task_id = enter(ledger)
    stage_all(ledger, task_id)
    won: list[str] = []

    def claim(name: str) -> None:
        if ledger.claim_bundle(task_id, name, 60_000, HOUR):
            won.append(name)

    threads = [threading.Thread(target=claim, args=(str(number),)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_claim_that_ran_out_or_was_given_back_can_be_taken(ledger: Ledger) -> None:
    task_id = enter(ledger)
    stage_all(ledger, task_id)
    assert ledger.claim_bundle(task_id, "a", 60_000, HOUR)
    assert ledger.renew_claim(task_id, "a", 0)
    assert ledger.claim_bundle(task_id, "b", 60_000, HOUR)
    assert not ledger.renew_claim(task_id, "a", 60_000)
    assert ledger.complete_job(task_id, "a", BUNDLE) is None
    assert state(ledger, task_id) == "running"
    done = ledger.complete_job(task_id, "b", BUNDLE)
    assert done is not None
    assert done.state == "completed"


def test_a_completed_job_stays_so(ledger: Ledger) -> None:
    task_id = enter(ledger)
    stage_all(ledger, task_id)
    ledger.claim_bundle(task_id, "a", 60_000, HOUR)
    done = ledger.complete_job(task_id, "a", BUNDLE)
    assert done is not None
    assert (done.state, done.bundle) == ("completed", BUNDLE)
    assert ledger.begin_chunk(task_id, 0, LEASE) is None
    assert ledger.fail_job(task_id, FAILURE) is None
    assert ledger.claim_bundle(task_id, "b", 60_000, HOUR) is None
    status = ledger.status(task_id)
    assert status is not None
    assert (status.bundle, status.error) == (BUNDLE, None)
    assert status.finished_at == done.finished_at
    assert ledger.complete_job(task_id, "a", BUNDLE) is None
    assert ledger.status(task_id) == status


def test_the_indexes_hold_what_is_in_flight_and_whose_it_is(ledger: Ledger, redis_url: str) -> None:
    done, failed, open_ = (enter(ledger) for _ in range(3))
    stage_all(ledger, done)
    ledger.claim_bundle(done, "a", 60_000, HOUR)
    ledger.complete_job(done, "a", BUNDLE)
    ledger.fail_job(failed, FAILURE, 0)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.zrange("qrmill:jobs:active", 0, -1) == [open_]
        assert set(client.zrange("qrmill:jobs:of:key", 0, -1)) == {done, failed, open_}


def test_a_server_that_is_not_there_is_told_as_such() -> None:
    with open_redis("redis://127.0.0.1:1", timeout=1, decode=True) as nowhere:
        lost = Ledger(nowhere)
        for step in (lambda: lost.status("x"), lambda: lost.begin_chunk("x", 0, LEASE), lost.check):
            with pytest.raises(LedgerUnavailableError):
                step()


def test_a_closed_job_takes_nothing_more_until_it_is_retried(ledger: Ledger) -> None:
    task_id = enter(ledger)
    works = [begin(ledger, task_id, index) for index in range(2)]
    ledger.stage_chunk(works[0], STAGED, HOUR)
    cancelled = Failure("cancelled", "It was cancelled.", final=True)
    first = ledger.fail_job(task_id, cancelled)
    assert first is not None
    assert first.error_code == "cancelled"
    assert ledger.fail_job(task_id, cancelled) == first
    assert ledger.begin_chunk(task_id, 2, LEASE) is None
    assert ledger.stage_chunk(works[1], STAGED, HOUR) == OF_NO_USE
    assert ledger.retry_job(task_id, HOUR) == [0, 1, 2]
    status = ledger.status(task_id)
    assert status is not None
    assert (status.state, status.error_code, status.staged) == ("pending", None, 0)
    assert status.processed_items == 0


def test_a_retry_renders_what_is_not_staged_and_counts_anew(ledger: Ledger) -> None:
    task_id = enter(ledger)
    assert ledger.retry_job(task_id, HOUR) is None
    ledger.stage_chunk(begin(ledger, task_id, 1), STAGED, HOUR)
    for _ in range(5):
        begin(ledger, task_id, 0)
    ledger.fail_job(task_id, FAILURE, 0)
    assert ledger.retry_job(task_id, HOUR) == [0, 2]
    assert ledger.retry_job(task_id, HOUR) is None
    assert begin(ledger, task_id, 0).attempt == 1
    status = ledger.status(task_id)
    assert status is not None
    assert (status.state, status.failed, status.staged) == ("running", 0, 1)


def test_a_retry_of_a_failed_bundling_asks_for_the_bundle_alone(ledger: Ledger) -> None:
    task_id = enter(ledger)
    stage_all(ledger, task_id)
    ledger.fail_job(task_id, Failure("bundle_failed", "It failed."))
    assert ledger.retry_job(task_id, HOUR) == []
    assert ledger.claim_bundle(task_id, "a", LEASE, HOUR)


def test_a_job_that_is_moved_needs_nothing(ledger: Ledger) -> None:
    task_id = enter(ledger)
    assert ledger.diagnose_job(task_id, LEASE, LEASE, queues_empty=True).action == "moving"
    begin(ledger, task_id, 0)
    assert ledger.diagnose_job(task_id, LEASE, LEASE, queues_empty=True).action == "moving"


def test_lost_chunks_are_found_once_a_patience(ledger: Ledger) -> None:
    task_id = enter(ledger)
    ledger.begin_chunk(task_id, 1, -1)  # its lease has run out
    assert ledger.diagnose_job(task_id, LEASE, LEASE, queues_empty=True) == ("chunks", [1])
    assert ledger.diagnose_job(task_id, LEASE, LEASE, queues_empty=True).action == "moving"
    # With no patience at all, everything that is neither staged nor begun counts as lost.
    ledger.stage_chunk(begin(ledger, task_id, 0), STAGED, HOUR)
    begin(ledger, task_id, 2)
    assert ledger.diagnose_job(task_id, -1, LEASE, queues_empty=True) == ("chunks", [1])
    assert ledger.diagnose_job(task_id, -1, LEASE, queues_empty=False).action == "moving"
    assert ledger.diagnose_job(task_id, LEASE, -1, queues_empty=False) == ("chunks", [1])


def test_a_chunk_that_is_worked_on_for_long_is_not_lost(ledger: Ledger) -> None:
    task_id = enter(ledger)
    ledger.begin_chunk(task_id, 1, -1)
    ledger._client.hset(keys.job(task_id), "moved_at", 0)
    ledger.renew_chunk(task_id, 1, LEASE)
    assert ledger.diagnose_job(task_id, LEASE, LEASE, queues_empty=True).action == "moving"


def test_what_is_no_longer_worked_on_keeps_no_lease(ledger: Ledger) -> None:
    task_id = enter(ledger)
    ledger.stage_chunk(begin(ledger, task_id, 0), STAGED, HOUR)
    ledger.begin_chunk(task_id, 1, -1)
    assert ledger.diagnose_job(task_id, LEASE, LEASE, queues_empty=True) == ("chunks", [1])
    for index in (0, 1):
        ledger.renew_chunk(task_id, index, LEASE)
    assert not ledger._client.exists(keys.leases(task_id))


@pytest.mark.parametrize("items", [5, 5000])
def test_a_look_at_a_moving_job_costs_the_same_however_large_it_is(
    ledger: Ledger, items: int
) -> None:
    task_id = enter(ledger, items)
    begin(ledger, task_id, 0)
    ledger._client.config_resetstat()
    assert ledger.diagnose_job(task_id, LEASE, LEASE, queues_empty=True).action == "moving"
    counts = ledger._client.info("commandstats").values()
    assert sum(count["calls"] for count in counts) < 20


def test_every_chunk_of_a_large_job_that_is_lost_is_found(ledger: Ledger) -> None:
    task_id = enter(ledger, 20_000)
    lost = [*range(10_000)]
    ledger.stage_chunk(begin(ledger, task_id, 17), STAGED, HOUR)
    begin(ledger, task_id, 18)
    del lost[17:19]
    assert ledger.diagnose_job(task_id, -1, -1, queues_empty=True) == ("chunks", lost)


def test_a_bundle_that_nobody_builds_is_asked_for(ledger: Ledger) -> None:
    task_id = enter(ledger)
    stage_all(ledger, task_id)
    assert ledger.diagnose_job(task_id, LEASE, LEASE, queues_empty=True).action == "moving"
    assert ledger.diagnose_job(task_id, -1, -1, queues_empty=True).action == "bundle"
    ledger.claim_bundle(task_id, "a", LEASE, HOUR)
    assert ledger.diagnose_job(task_id, -1, -1, queues_empty=True).action == "moving"


def test_a_late_job_and_one_that_has_ended_are_told_apart(ledger: Ledger) -> None:
    head = new_head()
    ledger.create_job(head, NOW * 1000, 100, -1)
    assert ledger.diagnose_job(head.task_id, LEASE, LEASE, queues_empty=True).action == "late"
    ledger.fail_job(head.task_id, FAILURE)
    assert ledger.diagnose_job(head.task_id, LEASE, LEASE, queues_empty=True).action == "ended"
    assert ledger.active_jobs() == []


def test_a_job_that_is_taken_to_be_removed_is_not_opened_again(ledger: Ledger) -> None:
    of_chunk, of_bundle, opened, running = (enter(ledger) for _ in range(4))
    stage_all(ledger, of_bundle)
    begin(ledger, running, 0)
    for task_id, chunk in ((of_chunk, 0), (of_bundle, None), (opened, 0)):
        ledger.fail_job(task_id, FAILURE, chunk, "letter")
    assert ledger.claim_expired(NOW, 10) == []
    assert ledger.retry_job(opened, HOUR) == [0, 1, 2]
    for task_id in (opened, running):
        ledger._client.zadd(keys.ENDED_JOBS, {task_id: 1})  # as if its index had not followed
    taken = {(of_chunk, "failed", "key"), (of_bundle, "failed", "key")}
    assert (
        {*ledger.claim_expired(NOW * 10_000, 10)}
        == {*ledger.claim_expired(NOW * 10_000, 10)}
        == taken
    )
    assert ledger.retry_job(of_chunk, HOUR) is ledger.retry_job(of_bundle, HOUR) is None
    assert ledger.begin_chunk(of_chunk, 0, LEASE, "letter") is None
    assert ledger.claim_bundle(of_bundle, "a", LEASE, HOUR, "letter") is None
    assert (state(ledger, opened), state(ledger, running)) == ("pending", "running")
    assert {*ledger._client.zrange(keys.ENDED_JOBS, 0, -1)} == {of_chunk, of_bundle}
    assert state(ledger, of_chunk) == state(ledger, of_bundle) == "failed"


def test_an_old_job_of_which_little_or_a_newer_version_is_known_is_told_apart(
    ledger: Ledger,
) -> None:
    newer = enter(ledger)
    ledger.fail_job(newer, FAILURE, 0)
    ledger._client.hset(keys.job(newer), "version", 99)
    unknown = str(uuid.uuid4())
    ledger._client.zadd(keys.ENDED_JOBS, {unknown: 1})
    assert ledger.claim_expired(NOW * 10_000, 10) == [(unknown, "", ""), (newer, "newer", "key")]
    assert not ledger._client.hexists(keys.job(newer), "removing")
    assert not ledger._client.exists(keys.job(unknown))


def test_an_ended_job_is_restored_as_it_ended(ledger: Ledger) -> None:
    completed, failed = new_head(), new_head()
    result = Result(state="completed", finished_at=NOW * 1000 + 5, bundle=BUNDLE)
    assert ledger.restore_job(completed, 100, result)
    assert not ledger.restore_job(completed, 100, result)
    status = ledger.status(completed.task_id)
    assert status is not None
    assert (status.state, status.bundle, status.processed_items, status.staged) == (
        "completed",
        BUNDLE,
        5,
        3,
    )
    late = Result(state="failed", finished_at=NOW, error="Late.", error_code="deadline")
    assert ledger.restore_job(failed, 100, late)
    status = ledger.status(failed.task_id)
    assert status is not None
    assert (status.state, status.error, status.error_code) == ("failed", "Late.", "deadline")
    assert ledger.begin_chunk(failed.task_id, 0, LEASE) is None


def test_a_restored_job_has_its_place_in_lists_again(ledger: Ledger) -> None:
    result = Result(state="completed", finished_at=NOW * 1000 + 999, bundle=BUNDLE)
    for created_at in (NOW * 1000 + 789, NOW * 1000):
        head = msgspec.structs.replace(new_head(), created_at=created_at)
        ledger.restore_job(head, 100, result)
        status = ledger.status(head.task_id)
        assert status is not None
        assert status.created_at == created_at
        assert ledger._client.zscore(keys.ALL_JOBS, head.task_id) == created_at


def test_an_entry_has_the_fields_that_release_0_2_0_reads(ledger: Ledger) -> None:
    task_id = enter(ledger)
    fields = ledger._client.hgetall(keys.job(task_id))
    assert (fields["accepted_at"], fields["created_at"]) == (str(NOW), str(NOW * 1000))
    assert "accepted_ms" not in fields
    names = {"task_id", "key_id", "key_name", "request_id", "gtin", "format", "size", "items"}
    names |= {"error_correction", "link_base", "chunk_size", "callback_url", "chunks", "version"}
    assert names <= fields.keys()


def test_an_unstaged_chunk_is_rendered_again(ledger: Ledger) -> None:
    task_id = enter(ledger)
    stage_all(ledger, task_id)
    job = begin_fields(ledger, task_id)
    assert not ledger.unstage_chunk(job, 2, "another")
    assert ledger.unstage_chunk(job, 2, "a")
    assert not ledger.unstage_chunk(job, 2, "a")
    status = ledger.status(task_id)
    assert status is not None
    assert (status.staged, status.processed_items) == (2, 4)
    assert ledger.claim_bundle(task_id, "b", LEASE, HOUR) is None
    ledger.stage_chunk(begin(ledger, task_id, 2), STAGED, HOUR)
    assert ledger.claim_bundle(task_id, "a", LEASE, HOUR)


def test_a_bundler_that_lost_its_claim_unstages_nothing_of_a_completed_job(ledger: Ledger) -> None:
    task_id = enter(ledger)
    stage_all(ledger, task_id)
    frozen = ledger.claim_bundle(task_id, "frozen", -1, HOUR)
    assert frozen is not None
    ledger.claim_bundle(task_id, "b", LEASE, HOUR)
    ledger.complete_job(task_id, "b", BUNDLE)
    assert not ledger.unstage_chunk(frozen, 0, "frozen")
    status = ledger.status(task_id)
    assert status is not None
    assert (status.state, status.processed_items) == ("completed", 5)


def begin_fields(ledger: Ledger, task_id: str) -> JobFields:
    job = ledger.claim_bundle(task_id, "a", LEASE, HOUR)
    assert job is not None
    return job


def test_an_excused_attempt_does_not_count_and_is_still_looked_after(ledger: Ledger) -> None:
    task_id = enter(ledger)
    ledger.begin_chunk(task_id, 0, -1)
    ledger.record_attempt_error(task_id, 0, FAILURE)
    ledger.record_attempt_error(task_id, 0, FAILURE)
    assert ledger.diagnose_job(task_id, LEASE, LEASE, queues_empty=False) == ("chunks", [0])
    assert begin(ledger, task_id, 0).attempt == 1
