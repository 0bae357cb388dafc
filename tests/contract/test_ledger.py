"""Every step of the ledger, once, twice and out of turn, on a real server."""

import threading
import time
import uuid

import pytest
import redis

from pipeline.broker import connect_redis
from pipeline.jobs import Bundle, Item, JobRequest, RequestHead, StagedChunk, State
from pipeline.ledger import ChunkWork, Ledger, LedgerUnavailableError
from pipeline.requests import encode_request
from pipeline.settings import Settings

NOW = 1_795_000_000
STAGED = StagedChunk(sha256="ab" * 32, rows_bytes=10, bytes=100)
BUNDLE = Bundle(bytes=1000, sha256="cd" * 32, expires_at=NOW + 86_400)


def new_head(items: int = 5, chunk_size: int = 2, key_id: str = "key") -> RequestHead:
    request = JobRequest(
        gtin="00012345678905", items=[Item(serial=str(index)) for index in range(items)],
        format="png", size=400, error_correction="Q", link_base="https://id.gs1.org",
    )  # fmt: skip
    return encode_request(request, str(uuid.uuid4()), key_id, NOW, chunk_size)[0]


def enter(ledger: Ledger, items: int = 5) -> str:
    head = new_head(items)
    assert ledger.create_job(head, NOW * 1000, 100)
    return head.task_id


def begin(ledger: Ledger, task_id: str, chunk_index: int) -> ChunkWork:
    work = ledger.begin_chunk(task_id, chunk_index)
    assert work is not None
    return work


def stage_all(ledger: Ledger, task_id: str, chunks: int = 3) -> None:
    for index in range(chunks):
        ledger.complete_chunk(begin(ledger, task_id, index), STAGED)


def state(ledger: Ledger, task_id: str) -> State:
    status = ledger.status(task_id)
    assert status is not None
    return status.state


def test_a_job_is_entered_once(ledger: Ledger) -> None:
    head = new_head()
    assert ledger.create_job(head, NOW * 1000, 100)
    begin(ledger, head.task_id, 0)
    assert not ledger.create_job(head, NOW * 1000, 100)
    status = ledger.status(head.task_id)
    assert status is not None
    assert (status.state, status.items, status.chunks, status.created_at) == (
        "running", 5, 3, NOW * 1000,
    )  # fmt: skip
    assert status.gtin == "00012345678905"


def test_an_unknown_job_is_unknown_to_every_step(ledger: Ledger) -> None:
    known = enter(ledger)
    work = begin(ledger, known, 0)
    ledger.discard_job(known, "key")
    assert ledger.status(known) is None
    assert ledger.begin_chunk(known, 0) is None
    assert ledger.complete_chunk(work, STAGED) == -1
    assert ledger.fail_chunk(known, 0, "code", "detail") is None
    assert ledger.claim_bundle(known, "a", 1000) is None
    assert not ledger.renew_claim(known, "a", 1000)
    assert ledger.complete_job(known, "a", BUNDLE) is None


def test_nothing_of_a_discarded_job_stays(ledger: Ledger, redis_url: str) -> None:
    task_id = enter(ledger)
    begin(ledger, task_id, 0)
    ledger.fail_chunk(task_id, 1, "code", "detail")
    ledger.discard_job(task_id, "key")
    with redis.Redis.from_url(redis_url) as client:
        assert client.keys("qrmill:*") == []


def test_a_chunk_knows_its_place(ledger: Ledger) -> None:
    head = new_head()
    ledger.create_job(head, NOW * 1000, 100)
    last = begin(ledger, head.task_id, 2)
    assert (last.first_item, last.item_count) == (4, 1)
    assert (last.offset, last.length) == (100 + head.ranges[2][0], head.ranges[2][1])
    assert (last.job.gtin, last.job.format, last.job.accepted_at) == (head.gtin, "png", NOW)


def test_deliveries_are_counted_and_a_staged_chunk_is_not_begun_again(ledger: Ledger) -> None:
    task_id = enter(ledger)
    assert [begin(ledger, task_id, 0).attempt for _ in range(3)] == [1, 2, 3]
    ledger.complete_chunk(begin(ledger, task_id, 0), STAGED)
    assert ledger.begin_chunk(task_id, 0) is None


def test_a_chunk_counts_once_however_often_it_is_reported(ledger: Ledger) -> None:
    task_id = enter(ledger)
    works = [begin(ledger, task_id, index) for index in range(3)]
    assert [ledger.complete_chunk(works[0], STAGED) for _ in range(3)] == [2, 2, 2]
    assert ledger.complete_chunk(works[2], STAGED) == 1
    assert ledger.complete_chunk(works[1], STAGED) == 0
    status = ledger.status(task_id)
    assert status is not None
    assert (status.staged, status.processed_items) == (3, 5)
    assert ledger.staged_chunks(task_id) == [STAGED] * 3


def test_staged_chunks_come_in_the_order_of_their_numbers(ledger: Ledger) -> None:
    task_id = enter(ledger, items=24)
    for index in reversed(range(12)):
        staged = StagedChunk(sha256="00", rows_bytes=index, bytes=1)
        ledger.complete_chunk(begin(ledger, task_id, index), staged)
    assert [chunk.rows_bytes for chunk in ledger.staged_chunks(task_id)] == [*range(12)]


def test_a_failed_chunk_fails_the_job_at_once_and_says_why(ledger: Ledger) -> None:
    task_id = enter(ledger)
    begin(ledger, task_id, 1)
    assert ledger.fail_chunk(task_id, 1, "render_failed", "Chunk 1 failed.") == "failed"
    assert ledger.fail_chunk(task_id, 0, "other", "A later one.") == "failed"
    status = ledger.status(task_id)
    assert status is not None
    assert (status.error_code, status.error) == ("render_failed", "Chunk 1 failed.")
    assert status.failed == 2
    assert status.finished_at is not None
    assert abs(status.finished_at / 1000 - time.time()) < 60


def test_a_chunk_that_is_staged_did_not_fail(ledger: Ledger) -> None:
    task_id = enter(ledger)
    ledger.complete_chunk(begin(ledger, task_id, 0), STAGED)
    assert ledger.fail_chunk(task_id, 0, "late", "A late double.") == "running"


def test_the_last_failed_chunk_that_succeeds_reopens_the_job(ledger: Ledger) -> None:
    task_id = enter(ledger)
    for index in (0, 1):
        ledger.fail_chunk(task_id, index, "render_failed", "It failed.")
    assert ledger.complete_chunk(begin(ledger, task_id, 0), STAGED) == -1
    assert state(ledger, task_id) == "failed"
    assert ledger.complete_chunk(begin(ledger, task_id, 1), STAGED) == -1 + 2
    status = ledger.status(task_id)
    assert status is not None
    assert (status.state, status.error, status.error_code) == ("running", None, None)
    assert status.finished_at is None


def test_a_bundle_is_claimed_when_all_is_staged_and_by_one(ledger: Ledger) -> None:
    task_id = enter(ledger)
    assert ledger.claim_bundle(task_id, "a", 60_000) is None
    stage_all(ledger, task_id)
    claimed = ledger.claim_bundle(task_id, "a", 60_000)
    assert claimed is not None
    assert claimed.chunks == 3
    assert ledger.claim_bundle(task_id, "b", 60_000) is None
    assert ledger.claim_bundle(task_id, "a", 60_000) == claimed


def test_fifty_claims_at_once_have_one_winner(ledger: Ledger) -> None:
    task_id = enter(ledger)
    stage_all(ledger, task_id)
    won: list[str] = []

    def claim(name: str) -> None:
        if ledger.claim_bundle(task_id, name, 60_000):
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
    assert ledger.claim_bundle(task_id, "a", 60_000)
    assert ledger.renew_claim(task_id, "a", 0)
    assert ledger.claim_bundle(task_id, "b", 60_000)
    assert not ledger.renew_claim(task_id, "a", 60_000)
    assert ledger.complete_job(task_id, "a", BUNDLE) == "running"
    assert ledger.complete_job(task_id, "b", BUNDLE) == "completed"


def test_a_completed_job_stays_so(ledger: Ledger) -> None:
    task_id = enter(ledger)
    stage_all(ledger, task_id)
    ledger.claim_bundle(task_id, "a", 60_000)
    assert ledger.complete_job(task_id, "a", BUNDLE) == "completed"
    assert ledger.begin_chunk(task_id, 0) is None
    assert ledger.fail_job(task_id, "late", "Too late.") == "completed"
    assert ledger.claim_bundle(task_id, "b", 60_000) is None
    status = ledger.status(task_id)
    assert status is not None
    assert (status.bundle, status.error) == (BUNDLE, None)


def test_the_indexes_hold_what_is_in_flight_and_whose_it_is(ledger: Ledger, redis_url: str) -> None:
    done, failed, open_ = (enter(ledger) for _ in range(3))
    stage_all(ledger, done)
    ledger.claim_bundle(done, "a", 60_000)
    ledger.complete_job(done, "a", BUNDLE)
    ledger.fail_chunk(failed, 0, "code", "detail")
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.zrange("qrmill:jobs:active", 0, -1) == [open_]
        assert set(client.zrange("qrmill:jobs:of:key", 0, -1)) == {done, failed, open_}


def test_a_server_that_is_not_there_is_told_as_such() -> None:
    with connect_redis(
        Settings(redis_url="redis://127.0.0.1:1"), timeout=1, decode=True
    ) as nowhere:
        lost = Ledger(nowhere)
        for step in (lambda: lost.status("x"), lambda: lost.begin_chunk("x", 0), lost.ping):
            with pytest.raises(LedgerUnavailableError):
                step()
