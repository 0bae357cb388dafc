"""Jobs of one chunk: what the one step does, and what is left when a part of it fails."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator

import msgspec
import pytest
import redis

from pipeline.actors.bundle_writer import BundleWriter
from pipeline.auth.api_key import ApiKey
from pipeline.broker.names import BUNDLE_QUEUE, EXPRESS_QUEUE
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.sweep import open_sweep
from pipeline.model.failure_reasons import Failure
from pipeline.model.jobs import Item, JobStatus
from pipeline.model.records import Bundle
from pipeline.service import Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.encoded import encoded
from tests.faults.proxy import PASS, FaultProxy, Mode, Seen
from tests.integration.conftest import StartWorker
from tests.integration.test_late_uploads import stage_unverified
from tests.integration.test_pipeline import ended, make_request
from tests.lanes import key_in_lane
from tests.waiting import wait_for

DENIED = Mode(refused=1.0, statuses=(403,))
ITEMS = 7
FAR_AHEAD = 4_102_444_800_000  # milliseconds since the epoch


@pytest.fixture
def key(service: Service) -> ApiKey:
    return key_in_lane(service.api_keys, 0, name="client", role="client").key


@pytest.fixture
def connection(redis_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


@pytest.fixture
def behind(settings: Settings, proxy: FaultProxy) -> Settings:
    return msgspec.structs.replace(settings, s3_endpoint_url=proxy.url)


def submit(service: Service, key: ApiKey, items: int = ITEMS) -> str:
    return service.submission.submit(make_request(items), key).task_id


def is_bundle(request: Seen) -> bool:
    return request.method in {"PUT", "POST"} and "/bundle.zip" in request.target


def set_mode(proxy: FaultProxy, mode: Mode, chosen: Callable[[Seen], bool] = is_bundle) -> None:
    """Have ``mode`` done to the chosen requests, and to no other."""

    def watch(request: Seen) -> None:
        proxy.mode = mode if chosen(request) else PASS

    proxy.watch = watch


def assert_delivered(bucket: Bucket, status: JobStatus, items: int = ITEMS) -> None:
    """Compare the bundle in S3 with its record, and its images with its manifest."""
    data = bucket.get(keys.bundle_object(status.task_id))
    assert status.bundle is not None
    recorded = (status.bundle.bytes, status.bundle.sha256, status.bundle.verified)
    assert recorded == (len(data), hashlib.sha256(data).hexdigest(), True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        rows = json.loads(archive.read("manifest.json"))
        for row in rows:
            assert hashlib.sha256(archive.read(row["file"])).hexdigest() == row["sha256"]
    assert len(rows) == items


class OlderWorker:
    """Runs a worker that stages every chunk, as an older one does."""

    def __init__(self, start_worker: StartWorker) -> None:
        self._start_worker = start_worker

    def run_until(self, done: Callable[[], bool]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pipeline.worker.OneStep", lambda *_, **__: None)
            older = self._start_worker({EXPRESS_QUEUE})
        wait_for(done, "the older worker")
        older.stop()


def test_it_takes_two_requests_and_one_message(
    *,
    service: Service,
    key: ApiKey,
    behind: Settings,
    proxy: FaultProxy,
    bucket: Bucket,
    connection: redis.Redis,
    start_worker: StartWorker,
) -> None:
    """The third request of the job is the one that writes its request object."""
    seen: list[str] = []
    proxy.watch = lambda request: seen.append(
        f"{request.method} {request.target.rpartition('/')[2]}"
    )
    task_id = submit(service, key)
    worker = start_worker(settings=behind)
    status = ended(service, task_id, key)
    worker.stop()
    assert seen == ["PUT bundle.zip", "PUT result.json"]
    assert not connection.exists(ledger_keys.messages(BUNDLE_QUEUE))
    assert_delivered(bucket, status)
    assert (status.processed_items, status.staged, status.failed) == (ITEMS, 1, 0)
    chunks = service.jobs.chunks(task_id, key, 0, 9)
    assert chunks is not None
    assert [(each.state, each.attempts, each.error) for each in chunks] == [("staged", 1, None)]
    assert connection.hvals(ledger_keys.DRAINED) == ["1"]
    minutes = connection.hgetall(ledger_keys.MINUTES)
    counted = {
        str(name).partition(":")[0]: str(value).split()[1] for name, value in minutes.items()
    }
    assert counted == {"items": str(ITEMS), "completed": "1"}
    assert not connection.exists(ledger_keys.leases(task_id))
    assert not connection.hexists(ledger_keys.ranges(task_id), "items")
    fields = connection.hgetall(ledger_keys.job(task_id))
    assert [name for name in map(str, fields) if name.startswith(("upload:", "claim_"))] == []
    assert connection.zcard(ledger_keys.UNRECORDED) == 0


@pytest.mark.parametrize(("items", "drawn"), [(400, b""), (ITEMS, b"{}")])
def test_items_that_are_in_s3_alone_are_read_there(
    *,
    items: int,
    drawn: bytes,
    service: Service,
    key: ApiKey,
    bucket: Bucket,
    connection: redis.Redis,
    start_worker: StartWorker,
) -> None:
    """Too many for the ledger, or drawn: S3 may have those that an earlier attempt has drawn."""
    found = encoded([Item(serial=f"S{number:04}", lot="LOT") for number in range(items)], items)
    request = msgspec.structs.replace(make_request(), items=found, drawn=drawn)
    task_id = service.submission.submit(request, key).task_id
    assert connection.hkeys(ledger_keys.ranges(task_id)) == ["0"]
    start_worker()
    assert_delivered(bucket, ended(service, task_id, key), items)


@pytest.mark.parametrize(("size", "kept"), [(8192, True), (8193, False)])
def test_the_ledger_keeps_items_of_up_to_8_kib(
    *, size: int, kept: bool, service: Service, key: ApiKey, connection: redis.Redis
) -> None:
    bare = len(encoded([Item(serial="1", extra={"a": ""})], 1).chunks[0])
    items = encoded([Item(serial="1", extra={"a": "x" * (size - bare)})], 1)
    assert len(items.chunks[0]) == size
    request = msgspec.structs.replace(make_request(), items=items)
    task_id = service.submission.submit(request, key).task_id
    assert connection.hexists(ledger_keys.ranges(task_id), "items") == kept


@pytest.mark.parametrize("failed", [False, True])
def test_the_ledger_keeps_items_until_the_job_ends_and_a_later_run_reads_s3(
    *,
    failed: bool,
    service: Service,
    key: ApiKey,
    bucket: Bucket,
    connection: redis.Redis,
    start_worker: StartWorker,
) -> None:
    task_id = submit(service, key)
    in_s3 = bucket.get(keys.request_object(task_id)).decode()
    items = str(connection.hget(ledger_keys.ranges(task_id), "items"))
    assert len(msgspec.json.decode(items)) == ITEMS
    assert items in in_s3
    if failed:
        Ledger(connection).fail_job(task_id, Failure("crashed", "it crashed"), 0)
    else:
        assert service.jobs.cancel(task_id, key)
    assert not connection.hexists(ledger_keys.ranges(task_id), "items")
    service.jobs.retry(task_id, key)
    start_worker()
    assert_delivered(bucket, ended(service, task_id, key))


def test_a_duplicate_changes_nothing(
    *, service: Service, key: ApiKey, bucket: Bucket, start_worker: StartWorker
) -> None:
    task_id = submit(service, key)
    for _ in range(5):
        service.jobs._dispatcher.send_chunks(task_id, [0], "")
    workers = [start_worker() for _ in range(2)]
    status = ended(service, task_id, key)
    for worker in workers:
        worker.broker.join(EXPRESS_QUEUE)
        worker.stop()
    assert ended(service, task_id, key) == status
    assert_delivered(bucket, status)


@pytest.mark.parametrize("part_bytes", [512, 8 * 1024 * 1024])
def test_a_bundle_that_s3_denies_fails_as_a_bundle_and_its_dead_letter_completes_the_job(
    *,
    service: Service,
    key: ApiKey,
    behind: Settings,
    proxy: FaultProxy,
    bucket: Bucket,
    staging_bucket: Bucket,
    start_worker: StartWorker,
    part_bytes: int,
) -> None:
    set_mode(proxy, DENIED)
    task_id = submit(service, key)
    start_worker(
        settings=msgspec.structs.replace(behind, upload_part_bytes=part_bytes, max_retries=0)
    )
    status = ended(service, task_id, key)
    assert (status.state, status.error_code) == ("failed", "storage_unavailable")
    assert status.error is not None
    assert status.error.startswith("Building the bundle failed after 1 try")
    assert (status.staged, status.failed) == (1, 0)
    assert [*staging_bucket.list_keys("")] == [keys.staged_zip(task_id, 0)]
    proxy.watch, proxy.mode = (lambda _: None), PASS
    assert service.dead_letters.newest(EXPRESS_QUEUE, 9) == []
    (letter,) = service.dead_letters.newest(BUNDLE_QUEUE, 9)
    assert service.dead_letters.requeue(BUNDLE_QUEUE, [letter.letter_id]) == 1
    wait_for(lambda: ended(service, task_id, key).state == "completed", "the completed job")
    assert_delivered(bucket, ended(service, task_id, key))
    wait_for(lambda: not [*staging_bucket.list_keys("")], "an empty staging bucket")


def test_an_error_of_the_archive_is_none_of_the_chunk(
    *,
    service: Service,
    key: ApiKey,
    settings: Settings,
    bucket: Bucket,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.actors.bundle_writer.stream_archive", fail)
        task_id = submit(service, key)
        worker = start_worker(settings=msgspec.structs.replace(settings, max_retries=0))
        status = ended(service, task_id, key)
        assert (status.error_code, status.failed, status.staged) == ("bundle_failed", 0, 1)
        worker.stop()
    assert service.jobs.retry(task_id, key)
    start_worker()
    assert_delivered(bucket, ended(service, task_id, key))


def test_a_job_that_is_cancelled_during_the_upload_stays_cancelled_and_can_be_run_again(
    *,
    service: Service,
    key: ApiKey,
    bucket: Bucket,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put = BundleWriter.write

    def cancel_after(writer: BundleWriter, *given: object, **options: object) -> Bundle:
        bundle = put(writer, *given, **options)  # type: ignore[arg-type] # passed on
        assert service.jobs.cancel(task_id, key)
        return bundle

    task_id = submit(service, key)
    with monkeypatch.context() as patch:
        patch.setattr(BundleWriter, "write", cancel_after)
        worker = start_worker()
        assert ended(service, task_id, key).error_code == "cancelled"
        worker.broker.join(EXPRESS_QUEUE)
        worker.stop()
    assert ended(service, task_id, key).error_code == "cancelled"
    assert service.jobs.retry(task_id, key)
    start_worker()
    wait_for(lambda: ended(service, task_id, key).state == "completed", "the completed job")
    assert_delivered(bucket, ended(service, task_id, key))


def test_a_claim_of_a_dead_worker_delays_the_job_until_it_expires(
    *,
    service: Service,
    key: ApiKey,
    ledger: Ledger,
    settings: Settings,
    bucket: Bucket,
    connection: redis.Redis,
    start_worker: StartWorker,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The worker died after it had claimed the bundle, and its message is delivered again."""
    hasty = msgspec.structs.replace(settings, lease=1)
    task_id = submit(service, key)
    assert ledger.begin_chunk(task_id, 0, 1000, "m")
    assert ledger.claim_only_chunk(task_id, "dead", FAR_AHEAD)
    worker = start_worker(settings=hasty)
    logged = ""

    def has_left() -> bool:
        nonlocal logged
        logged += "".join(capsys.readouterr())
        return "bundle lease lost" in logged

    wait_for(has_left, "the second attempt to leave the bundle")
    found = service.jobs.status(task_id, key)
    assert found is not None
    assert (found.state, found.staged) == ("running", 0)
    assert [*bucket.list_keys(keys.bundle_object(task_id))] == []
    connection.hset(ledger_keys.job(task_id), "claim_until", 0)
    sweep = open_sweep(hasty)

    def is_rescued() -> bool:
        sweep.once()
        now = service.jobs.status(task_id, key)
        return now is not None and now.state == "completed"

    wait_for(is_rescued, "the rescued job", pause=0.1)
    worker.stop()
    assert_delivered(bucket, ended(service, task_id, key))


def test_a_chunk_that_an_older_worker_staged_is_bundled(
    *,
    service: Service,
    key: ApiKey,
    bucket: Bucket,
    staging_bucket: Bucket,
    start_worker: StartWorker,
) -> None:
    """An older worker stages the only chunk too, as one with ``QRMILL_STAGING=object`` does."""
    task_id = submit(service, key)
    OlderWorker(start_worker).run_until(lambda: bool([*staging_bucket.list_keys("")]))
    found = service.jobs.status(task_id, key)
    assert found is not None
    assert (found.state, found.staged) == ("running", 1)
    start_worker()
    assert_delivered(bucket, ended(service, task_id, key))
    wait_for(lambda: not [*staging_bucket.list_keys("")], "an empty staging bucket")


def test_what_an_older_worker_staged_meanwhile_is_deleted(
    *,
    service: Service,
    key: ApiKey,
    ledger: Ledger,
    bucket: Bucket,
    staging_bucket: Bucket,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It stages the chunk while a newer worker uploads the bundle; its bundle message is late."""
    put = BundleWriter.write

    def stage_after(writer: BundleWriter, *given: object, **options: object) -> Bundle:
        bundle = put(writer, *given, **options)  # type: ignore[arg-type] # passed on
        work = ledger.begin_chunk(task_id, 0, 60_000, "older")
        assert work is not None
        stage_unverified(service, ledger, staging_bucket, work)
        return bundle

    monkeypatch.setattr(BundleWriter, "write", stage_after)
    task_id = submit(service, key)
    start_worker({EXPRESS_QUEUE})
    status = ended(service, task_id, key)
    wait_for(lambda: not [*staging_bucket.list_keys("")], "an empty staging bucket")
    assert_delivered(bucket, status)
    assert (status.staged, status.processed_items) == (1, ITEMS)
    service.jobs._dispatcher.send_bundle(task_id, "")
    start_worker({BUNDLE_QUEUE}).broker.join(BUNDLE_QUEUE)
    assert ended(service, task_id, key) == status
