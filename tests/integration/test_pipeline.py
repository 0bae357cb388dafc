"""From an accepted request to its bundle, with Dramatiq's worker, a real Redis and a real S3."""

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from contextlib import closing
from typing import NoReturn, cast

import dramatiq
import msgspec
import pytest
import redis
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker

from pipeline.actors.retries import SafeRetries
from pipeline.auth.api_key import ApiKey
from pipeline.broker.inspection import renewed
from pipeline.broker.names import BUNDLE_QUEUE, RENDER_QUEUE
from pipeline.errors import LedgerUnavailableError, ObjectMissingError, StoreUnavailableError
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.sweep import open_sweep
from pipeline.model.failure_reasons import Failure
from pipeline.model.jobs import Item, JobRequest, JobStatus
from pipeline.model.states import TERMINAL
from pipeline.service import Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.worker import build_worker
from render.image import ImageFormat
from tests.encoded import encoded
from tests.faults.proxy import PASS, FaultProxy, Mode, Seen
from tests.integration.conftest import StartWorker
from tests.lanes import key_in_lane
from tests.waiting import wait_for


@pytest.fixture
def key(service: Service) -> ApiKey:
    return key_in_lane(service.api_keys, 0, name="client", role="client").key


def make_request(count: int = 25, image_format: ImageFormat = "png") -> JobRequest:
    items = [Item("LOT", f"S{index:04}", "271231") for index in range(count)]
    return JobRequest(
        gtin="09506000134352",
        items=encoded(items, 10),
        format=image_format,
        size=120,
        error_correction="M",
        link_base="https://id.gs1.org",
    )


def stage_all(service: Service, task_id: str, key: ApiKey, start_worker: StartWorker) -> None:
    """Have the three chunks of a usual request rendered, and nothing bundled."""
    renders_only = start_worker({RENDER_QUEUE})
    wait_for(
        lambda: (found := service.jobs.status(task_id, key)) and found.staged == 3,
        "three staged chunks",
    )
    renders_only.stop()


def damage_a_chunk(staging_bucket: Bucket, task_id: str) -> None:
    name = keys.staged_zip(task_id, 1)
    staging_bucket.put(name, staging_bucket.get(name).replace(b"PNG", b"GNP", 1))


def ended(service: Service, task_id: str, key: ApiKey) -> JobStatus:
    def look() -> JobStatus | None:
        status = service.jobs.status(task_id, key)
        return status if status is not None and status.state in TERMINAL else None

    return wait_for(look, "the job's end")


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize("image_format", ["svg", "png"])
def test_a_job_ends_as_a_bundle_of_all_its_items(
    service: Service,
    key: ApiKey,
    bucket: Bucket,
    staging_bucket: Bucket,
    image_format: ImageFormat,
) -> None:
    task_id = service.submission.submit(make_request(25, image_format), key).task_id
    status = ended(service, task_id, key)
    assert (status.state, status.staged, status.processed_items) == ("completed", 3, 25)
    data = bucket.get(keys.bundle_object(task_id))
    assert status.bundle is not None
    assert len(data) == status.bundle.bytes
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        rows = json.loads(archive.read("manifest.json"))
        assert archive.namelist()[2:] == [row["file"] for row in rows]
    assert [row["serial"] for row in rows] == [f"S{index:04}" for index in range(25)]
    assert [row["index"] for row in rows] == [*range(1, 26)]
    wait_for(lambda: not [*staging_bucket.list_keys("")], "an empty staging bucket")


@pytest.mark.usefixtures("worker")
def test_the_ledger_says_where_the_time_of_each_chunk_and_of_the_bundle_went(
    service: Service, key: ApiKey, ledger: Ledger
) -> None:
    task_id = service.submission.submit(make_request(25), key).task_id
    status = ended(service, task_id, key)
    assert status.bundle is not None
    bundling = status.bundle.times
    assert status.finished_at is not None
    for chunk in ledger.staged_chunks(task_id):
        times = chunk.times
        took = times.read_ms + times.render_ms + times.stage_ms
        assert min(times.read_ms, times.render_ms, times.stage_ms) > 0
        # Clocks of one machine; each time is rounded to a millisecond or less.
        assert status.created_at <= times.begun_at
        assert times.begun_at + took <= bundling.begun_at + 2
    spent = bundling.read_ms + bundling.zip_ms + bundling.upload_ms
    assert min(bundling.read_ms, bundling.zip_ms, bundling.upload_ms) >= 0
    assert bundling.begun_at + spent <= status.finished_at + 2


def test_both_stagings_make_the_same_bundle(
    service: Service,
    settings: Settings,
    key: ApiKey,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_795_000_000 * 10**9)
    fields = {name: getattr(settings, name) for name in settings.__struct_fields__}
    bundles = []
    for kind in ("zip", "object"):
        task_id = service.submission.submit(make_request(), key).task_id
        with closing(build_worker(Settings(**{**fields, "staging": kind}))) as broker:
            worker = dramatiq.Worker(broker, worker_threads=2, worker_timeout=50)
            worker.start()
            try:
                assert ended(service, task_id, key).state == "completed"
            finally:
                worker.stop()
        bundles.append(bucket.get(keys.bundle_object(task_id)))
    assert bundles[0] == bundles[1]


@pytest.mark.usefixtures("worker")
def test_a_chunk_whose_request_is_gone_fails_the_job_with_its_reason(
    service: Service, key: ApiKey, bucket: Bucket, redis_url: str
) -> None:
    request = make_request()
    task_id = hold_back_and_submit(service, key, request, bucket)
    status = ended(service, task_id, key)
    assert (status.state, status.error_code) == ("failed", "object_missing")
    assert status.error is not None
    assert "failed after 4 tries:" in status.error
    with redis.Redis.from_url(redis_url) as client:
        wait_for(lambda: client.zcard(f"dramatiq:{RENDER_QUEUE}.XQ") == 3, "three dead letters")


def test_a_request_that_is_gone_for_a_moment_is_looked_for_again_soon(
    *,
    service: Service,
    key: ApiKey,
    bucket: Bucket,
    settings: Settings,
    start_worker: StartWorker,
    redis_url: str,
) -> None:
    """As on a server that replaces an object by removing it first, when a PUT is sent twice."""
    task_id = service.submission.submit(make_request(), key).task_id
    name = keys.request_object(task_id)
    request = bucket.get(name)
    bucket.delete(name)
    # A store that is out of reach would be asked again after ten minutes.
    start_worker(settings=msgspec.structs.replace(settings, retry_backoff=600_000))
    with redis.Redis.from_url(redis_url) as client:
        wait_for(lambda: client.hlen(ledger_keys.errors(task_id)) == 3, "three tries that failed")
    status = service.jobs.status(task_id, key)
    assert status is not None
    assert status.state == "running"
    chunks = service.jobs.chunks(task_id, key, 0, 10)
    assert chunks is not None
    assert {chunk.error_code for chunk in chunks} == {"object_missing"}  # a poll tells of it
    bucket.put(name, request)
    assert ended(service, task_id, key).state == "completed"


def hold_back_and_submit(service: Service, key: ApiKey, request: JobRequest, bucket: Bucket) -> str:
    """Submit a request whose object is gone before its messages are out."""
    send_chunks = service.jobs._dispatcher.send_chunks

    def send_late(task_id: str, chunks: Sequence[int], tenant: str) -> None:
        bucket.delete(keys.request_object(task_id))
        send_chunks(task_id, chunks, tenant)

    service.jobs._dispatcher.send_chunks = send_late  # type: ignore[method-assign] # the fault
    return service.submission.submit(request, key).task_id


def test_dead_letters_put_back_complete_the_job(
    service: Service,
    key: ApiKey,
    bucket: Bucket,
    worker: dramatiq.Worker,
    redis_url: str,
) -> None:
    stored: dict[str, bytes] = {}
    put = service.jobs._records._bucket.put

    def remember(key: str, data: bytes, content_type: str = "") -> None:
        stored[key] = data
        put(key, data, content_type)

    service.jobs._records._bucket.put = remember  # type: ignore[method-assign] # to bring back what was lost
    task_id = hold_back_and_submit(service, key, make_request(), bucket)
    assert ended(service, task_id, key).state == "failed"
    # The ledger learns of a failure last, when the dead letter has its id.
    wait_for(
        lambda: (found := service.jobs.status(task_id, key)) and found.failed == 3, "three failures"
    )
    with redis.Redis.from_url(redis_url) as client:
        letters = client.hvals(f"dramatiq:{RENDER_QUEUE}.XQ.msgs")
    bucket.put(keys.request_object(task_id), stored[keys.request_object(task_id)])
    for letter in letters:
        worker.broker.enqueue(Message.decode(letter))
    wait_for(
        lambda: (found := service.jobs.status(task_id, key)) and found.state == "completed",
        "a completed job",
    )
    status = ended(service, task_id, key)
    assert (status.error, status.error_code, status.failed) == (None, None, 0)


def test_a_dead_letter_of_the_bundling_put_back_completes_the_job(
    service: Service, key: ApiKey, ledger: Ledger, start_worker: StartWorker, redis_url: str
) -> None:
    task_id = service.submission.submit(make_request(), key).task_id
    stage_all(service, task_id, key, start_worker)
    with redis.Redis.from_url(redis_url) as client:
        letter = Message.decode(client.hvals(ledger_keys.messages(BUNDLE_QUEUE))[0])
    failure = Failure("bundle_failed", "The archive could not be written.")
    ledger.fail_job(task_id, failure, None, letter.message_id)
    assert ended(service, task_id, key).error_code == "bundle_failed"
    start_worker().broker.enqueue(letter)
    wait_for(
        lambda: (found := service.jobs.status(task_id, key)) and found.state == "completed",
        "a completed job",
    )


@pytest.mark.usefixtures("worker")
def test_every_message_twice_makes_one_bundle(
    service: Service, key: ApiKey, bucket: Bucket
) -> None:
    send_chunks = service.jobs._dispatcher.send_chunks

    def send_twice(task_id: str, chunks: Sequence[int], tenant: str) -> None:
        send_chunks(task_id, chunks, tenant)
        send_chunks(task_id, chunks, tenant)

    service.jobs._dispatcher.send_chunks = send_twice  # type: ignore[method-assign] # the fault
    task_id = service.submission.submit(make_request(), key).task_id
    status = ended(service, task_id, key)
    assert (status.state, status.processed_items, status.staged) == ("completed", 25, 3)
    objects = [keys.bundle_object(task_id), keys.request_object(task_id)]
    objects.append(keys.result_object(task_id))
    wait_for(lambda: [*bucket.list_keys(f"jobs/{task_id}/")] == objects, "its three objects")


def test_a_damaged_chunk_is_rendered_again_and_never_bundled(
    service: Service,
    key: ApiKey,
    bucket: Bucket,
    staging_bucket: Bucket,
    start_worker: StartWorker,
) -> None:
    task_id = service.submission.submit(make_request(), key).task_id
    stage_all(service, task_id, key, start_worker)
    damage_a_chunk(staging_bucket, task_id)
    start_worker()
    status = ended(service, task_id, key)
    assert status.state == "completed"
    with zipfile.ZipFile(io.BytesIO(bucket.get(keys.bundle_object(task_id)))) as archive:
        rows = json.loads(archive.read("manifest.json"))
        for row in rows:
            assert hashlib.sha256(archive.read(row["file"])).hexdigest() == row["sha256"]


def test_a_retry_that_cannot_be_enqueued_becomes_a_dead_letter(redis_url: str) -> None:
    """Redis goes away between a failure and its retry: Dramatiq alone would lose the message."""
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    broker = RedisBroker(client=client, middleware=[SafeRetries(max_retries=3, min_backoff=10)])

    def enqueue(message: Message[None], *, delay: int | None = None) -> Message[None]:
        if delay is not None:
            raise redis.ConnectionError("away")
        return plain_enqueue(message)

    plain_enqueue = broker.enqueue
    broker.enqueue = enqueue  # type: ignore[method-assign] # the fault

    @dramatiq.actor(broker=broker, queue_name="fails")
    def fails() -> None:
        raise LedgerUnavailableError

    fails.send()
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=50)
    worker.start()
    wait_for(lambda: client.zcard("dramatiq:fails.XQ") == 1, "a dead letter")
    worker.stop()
    client.close()


MISSING, AWAY = ObjectMissingError, StoreUnavailableError


@pytest.mark.parametrize(
    ("errors", "tries"),
    [
        ([MISSING] * 9, 4),  # the usual number
        ([AWAY] * 9, 4),
        ([AWAY, AWAY, AWAY, MISSING, MISSING, MISSING], 5),
        ([AWAY, AWAY, MISSING, AWAY, MISSING], 4),
        ([MISSING, AWAY, AWAY, MISSING, MISSING, MISSING], 5),
        ([MISSING, AWAY, AWAY, MISSING, AWAY, MISSING], 5),
        ([AWAY, AWAY, AWAY, MISSING, None], 5),
    ],
)
def test_a_missing_object_is_looked_for_twice_whatever_used_up_the_tries(
    redis_url: str, errors: list[type[Exception] | None], tries: int
) -> None:
    client = redis.Redis.from_url(redis_url)
    client.flushall()
    retries = SafeRetries(max_retries=3, min_backoff=10)
    broker = RedisBroker(client=client, middleware=[retries])
    begun: list[type[Exception] | None] = []

    @dramatiq.actor(broker=broker, queue_name="fails")
    def fails() -> None:
        begun.append(errors[len(begun)])
        if begun[-1]:
            raise begun[-1]("told")

    fails.send()
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=50)
    worker.start()
    dead = 0 if errors[tries - 1] is None else 1
    wait_for(lambda: len(begun) == tries and not client.hlen("dramatiq:fails.msgs"), "the last try")
    wait_for(lambda: client.zcard("dramatiq:fails.XQ") == dead, "a dead letter, or none")
    worker.stop()
    assert len(begun) == tries
    for text in cast("list[bytes]", client.hvals("dramatiq:fails.XQ.msgs")):
        again = renewed(text.decode())
        assert again is not None
        assert {"max_retries", "object_missing"}.isdisjoint(json.loads(again)["options"])
    client.close()


def test_a_request_that_is_replaced_when_s3_is_back_is_found_at_the_second_look(
    *,
    service: Service,
    settings: Settings,
    key: ApiKey,
    bucket: Bucket,
    proxy: FaultProxy,
    start_worker: StartWorker,
    redis_url: str,
) -> None:
    seen: list[str] = []
    kept: list[bytes] = []
    tries = settings.max_retries * 3  # boto3 sends each request three times

    def watch(request: Seen) -> None:
        if not request.target.endswith("/request.json"):
            return
        seen.append(request.method)
        proxy.mode = Mode(refused=1.0) if len(seen) <= tries else PASS
        name = keys.request_object(task_id)
        if len(seen) == tries + 1:
            kept.append(bucket.get(name))
            bucket.delete(name)
        elif len(seen) == tries + 2:
            bucket.put(name, kept[0])

    proxy.watch = watch
    task_id = service.submission.submit(make_request(5), key).task_id
    with redis.Redis.from_url(redis_url) as client:
        client.hdel(ledger_keys.ranges(task_id), "items")  # as if restored from S3
    start_worker(settings=msgspec.structs.replace(settings, s3_endpoint_url=proxy.url))
    assert ended(service, task_id, key).state == "completed"
    assert len(seen) == tries + 2


def test_a_chunk_whose_retry_cannot_be_enqueued_fails_no_job(
    service: Service, key: ApiKey, bucket: Bucket, worker: dramatiq.Worker, redis_url: str
) -> None:
    """Its tries are not spent: the sweep asks for it anew."""
    enqueue = worker.broker.enqueue

    def refuse(message: Message[None], *, delay: int | None = None) -> Message[None]:
        if delay is not None:
            raise redis.ConnectionError("away")
        return enqueue(message)

    worker.broker.enqueue = refuse  # type: ignore[method-assign] # the fault
    task_id = hold_back_and_submit(service, key, make_request(), bucket)
    with redis.Redis.from_url(redis_url) as client:
        wait_for(
            lambda: client.zcard(ledger_keys.dead_letters(RENDER_QUEUE)) == 3, "three dead letters"
        )
    worker.stop()
    status = service.jobs.status(task_id, key)
    assert status is not None
    assert (status.state, status.error_code, status.failed) == ("running", None, 0)


def test_a_damaged_chunk_that_cannot_be_sent_again_fails_no_job(
    *,
    service: Service,
    key: ApiKey,
    settings: Settings,
    staging_bucket: Bucket,
    start_worker: StartWorker,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task_id = service.submission.submit(make_request(), key).task_id
    stage_all(service, task_id, key, start_worker)
    damage_a_chunk(staging_bucket, task_id)

    def refuse(*_args: object, **_options: object) -> NoReturn:
        raise redis.ConnectionError("away")

    with redis.Redis.from_url(redis_url) as client:
        with monkeypatch.context() as fault:
            fault.setattr("pipeline.broker.redis.WakingBroker.enqueue", refuse)
            bundles_only = start_worker({BUNDLE_QUEUE})
            wait_for(lambda: client.zcard(ledger_keys.dead_letters(BUNDLE_QUEUE)), "a dead letter")
            bundles_only.stop()
        status = service.jobs.status(task_id, key)
        assert status is not None
        assert (status.state, status.error_code, status.staged) == ("running", None, 2)
        client.hset(ledger_keys.job(task_id), "moved_at", 0)
    assert open_sweep(settings).once()
    start_worker()
    assert ended(service, task_id, key).state == "completed"


def test_messages_carry_ids_and_never_items(service: Service, key: ApiKey, redis_url: str) -> None:
    task_id = service.submission.submit(make_request(), key).task_id
    with redis.Redis.from_url(redis_url) as client:
        sent = [Message.decode(raw) for raw in client.hvals(f"dramatiq:{RENDER_QUEUE}.msgs")]
        assert client.exists(f"dramatiq:{BUNDLE_QUEUE}.msgs") == 0
    assert sorted(message.args for message in sent) == [(task_id, 0), (task_id, 1), (task_id, 2)]
    assert all(b"LOT" not in message.encode() for message in sent)
    callbacks = [message.options["group_completion_callbacks"][0] for message in sent]
    assert {callback["actor_name"] for callback in callbacks} == {"bundle_job"}
