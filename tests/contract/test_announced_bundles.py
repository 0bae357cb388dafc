"""Bundles that are announced before their upload is completed, and replace a recorded one."""

import threading
import uuid
from collections.abc import Sequence

import msgspec
import pytest
import redis

from pipeline.ledger import keys
from pipeline.ledger.entries import ChunkWork
from pipeline.ledger.ledger import Ledger
from pipeline.model.chunks import StagedChunk
from pipeline.model.failure_reasons import Failure
from pipeline.model.jobs import Item, JobRequest, JobStatus
from pipeline.model.records import Bundle
from pipeline.model.request_object import Acceptance, encode_head
from tests.encoded import encoded
from tests.staged import BUNDLE_TIMES, CHUNK_TIMES

HOUR = 3_600_000
STAGED = StagedChunk(
    sha256="ab" * 32, bytes=100, rows_sha256="cd" * 32, rows_bytes=10, times=CHUNK_TIMES
)


def bundle(name: str) -> Bundle:
    return Bundle(
        bytes=1000, sha256=name * 32, expires_at=1_795_086_400, times=BUNDLE_TIMES, verified=True
    )


FIRST, SECOND, THIRD = bundle("aa"), bundle("bb"), bundle("cc")


def begin_only_chunk(ledger: Ledger, items: Sequence[Item]) -> ChunkWork:
    """Create a job of one chunk, and begin the chunk."""
    request = JobRequest(
        gtin="00012345678905",
        items=encoded(items, len(items)),
        format="png",
        size=400,
        error_correction="Q",
        link_base="https://id.gs1.org",
    )
    acceptance = Acceptance(str(uuid.uuid4()), "key", 1_795_000_000_000, None, "name")
    head = encode_head(request, acceptance)[0]
    assert ledger.create_job(head, 1_795_000_000_000, 100, HOUR)
    work = ledger.begin_chunk(head.task_id, 0, HOUR)
    assert work is not None
    return work


@pytest.fixture
def task_id(ledger: Ledger) -> str:
    """A job whose chunks are staged, so that it waits for its bundle."""
    work = begin_only_chunk(ledger, [Item(serial="1")])
    assert ledger.stage_chunk(work, STAGED, HOUR) == 0
    return work.job.task_id


def status(ledger: Ledger, task_id: str) -> JobStatus:
    found = ledger.status(task_id)
    assert found is not None
    return found


def complete(ledger: Ledger, task_id: str, claimant: str, found: Bundle) -> None:
    assert ledger.claim_bundle(task_id, claimant, HOUR, HOUR)
    assert ledger.announce_upload(task_id, claimant, HOUR, found)
    assert ledger.complete_job(task_id, claimant, found)


def test_an_announced_bundle_that_completes_the_job_leaves_nothing(
    ledger: Ledger, task_id: str, redis_url: str
) -> None:
    complete(ledger, task_id, "a", FIRST)
    assert ledger.announced_bundles(task_id) == []
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        assert [name for name in client.hkeys(keys.job(task_id)) if "upload" in name] == []


def test_an_announcement_renews_the_claim(ledger: Ledger, task_id: str) -> None:
    assert ledger.claim_bundle(task_id, "a", 0, HOUR)
    assert ledger.announce_upload(task_id, "a", HOUR, FIRST)
    assert ledger.claim_bundle(task_id, "b", HOUR, HOUR) is None


def test_only_the_holder_of_the_claim_announces(ledger: Ledger, task_id: str) -> None:
    assert ledger.claim_bundle(task_id, "a", 0, HOUR)
    assert ledger.claim_bundle(task_id, "b", HOUR, HOUR)
    assert not ledger.announce_upload(task_id, "a", HOUR, FIRST)
    assert ledger.announced_bundles(task_id) == []
    assert not ledger.announce_upload(str(uuid.uuid4()), "a", HOUR, FIRST)


def test_the_bundle_of_a_lost_claim_stays_announced(ledger: Ledger, task_id: str) -> None:
    assert ledger.claim_bundle(task_id, "a", HOUR, HOUR)
    assert ledger.announce_upload(task_id, "a", 0, FIRST)
    complete(ledger, task_id, "b", SECOND)
    assert ledger.complete_job(task_id, "a", FIRST) is None
    assert ledger.announced_bundles(task_id) == [FIRST]
    assert status(ledger, task_id).bundle == SECOND


def test_an_announcement_changes_no_status(ledger: Ledger, task_id: str) -> None:
    before = status(ledger, task_id)
    assert ledger.claim_bundle(task_id, "a", HOUR, HOUR)
    assert ledger.announce_upload(task_id, "a", HOUR, FIRST)
    assert status(ledger, task_id) == before
    assert ledger.fail_job(task_id, Failure("bundle_failed", "No archive.")) is not None
    assert ledger.claim_bundle(task_id, "b", HOUR, HOUR) is None


def test_a_bundle_is_replaced_once_and_its_record_is_due_again(
    ledger: Ledger, task_id: str
) -> None:
    complete(ledger, task_id, "a", FIRST)
    finished_at = status(ledger, task_id).finished_at
    assert ledger.note_record(task_id, finished_at, FIRST)
    assert ledger.take_unrecorded(10, HOUR, 0) == []
    done = ledger.replace_bundle(task_id, FIRST.sha256, SECOND)
    assert done is not None
    assert (done.bundle, done.finished_at) == (SECOND, finished_at)
    assert ledger.replace_bundle(task_id, FIRST.sha256, THIRD) is None
    assert status(ledger, task_id).bundle == SECOND
    assert ledger.take_unrecorded(10, 0, 0) == [task_id]
    # The record with the former bundle may have been written after that with the new one.
    assert not ledger.note_record(task_id, finished_at, FIRST)
    assert ledger.take_unrecorded(10, 0, 0) == [task_id]
    assert ledger.note_record(task_id, finished_at, SECOND)
    assert ledger.take_unrecorded(10, 0, 0) == []


def test_a_former_bundle_may_be_late_again(ledger: Ledger, task_id: str) -> None:
    complete(ledger, task_id, "a", FIRST)
    assert ledger.replace_bundle(task_id, FIRST.sha256, SECOND)
    assert ledger.announced_bundles(task_id) == [FIRST]
    assert ledger.replace_bundle(task_id, SECOND.sha256, FIRST)
    assert status(ledger, task_id).bundle == FIRST


def test_of_many_replacements_at_once_one_counts(ledger: Ledger, task_id: str) -> None:
    complete(ledger, task_id, "a", FIRST)
    replaced: list[str] = []

    def replace(name: str) -> None:
        if ledger.replace_bundle(task_id, FIRST.sha256, bundle(name)):
            replaced.append(name)

    threads = [threading.Thread(target=replace, args=(f"{n:02}",)) for n in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (name,) = replaced
    assert status(ledger, task_id).bundle == bundle(name)


def test_only_a_completed_job_has_a_bundle_to_replace(ledger: Ledger, task_id: str) -> None:
    assert ledger.replace_bundle(task_id, FIRST.sha256, SECOND) is None
    assert ledger.replace_bundle(str(uuid.uuid4()), FIRST.sha256, SECOND) is None
    ledger.fail_job(task_id, Failure("cancelled", "By request.", final=True))
    assert ledger.replace_bundle(task_id, FIRST.sha256, SECOND) is None
    assert status(ledger, task_id).bundle is None


def test_a_bundle_of_release_0_2_0_is_replaced(
    ledger: Ledger, task_id: str, redis_url: str
) -> None:
    complete(ledger, task_id, "a", FIRST)
    with redis.Redis.from_url(redis_url) as client:
        stored = msgspec.json.decode(client.hget(keys.job(task_id), "bundle") or b"")
        del stored["verified"]
        client.hset(keys.job(task_id), "bundle", msgspec.json.encode(stored))
    assert ledger.replace_bundle(task_id, FIRST.sha256, SECOND)
    assert status(ledger, task_id).bundle == SECOND
