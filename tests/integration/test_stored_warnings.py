"""The warnings about a request are stored with it: replays, bundles and a lost Redis have them."""

import io
import json
import zipfile

import msgspec
import pytest
import redis

from pipeline.auth.api_key import ApiKey
from pipeline.maintenance.sweep import Sweep, open_sweep
from pipeline.model.jobs import Item, JobRequest
from pipeline.model.records import Idempotency, RequestWarning
from pipeline.model.states import TERMINAL
from pipeline.service import Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.encoded import encoded
from tests.integration.conftest import StartWorker
from tests.waiting import wait_for

WARNINGS = tuple(
    RequestWarning(f"/items/{index}/lot", "placeholder", "'NULL' is probably not meant.", index, 1)
    for index in range(100)
)
REQUEST = JobRequest(
    gtin="09506000134352",
    items=encoded([Item("NULL", f"S{index}") for index in range(150)], 50),
    format="svg",
    size=400,
    error_correction="M",
    link_base="https://id.gs1.org",
    warnings=WARNINGS,
    warnings_total=150,
)
IDEMPOTENCY = Idempotency("a" * 64, "b" * 64, REQUEST.meaning_sha256())


@pytest.fixture
def key(service: Service) -> ApiKey:
    return service.api_keys.create(name="client", role="client").key


@pytest.fixture
def sweep(settings: Settings) -> Sweep:
    return open_sweep(settings)


def bundle_of(service: Service, bucket: Bucket, task_id: str, key: ApiKey) -> zipfile.ZipFile:
    def is_ended() -> bool:
        status = service.jobs.status(task_id, key)
        return status is not None and status.state in TERMINAL

    wait_for(is_ended, "the job's end")
    return zipfile.ZipFile(io.BytesIO(bucket.get(keys.bundle_object(task_id))))


@pytest.mark.usefixtures("worker")
def test_the_bundle_has_the_warnings_behind_the_manifests(
    service: Service, key: ApiKey, bucket: Bucket
) -> None:
    task_id = service.submission.submit(REQUEST, key).task_id
    with bundle_of(service, bucket, task_id, key) as bundle:
        assert bundle.namelist()[:3] == ["manifest.csv", "manifest.json", "warnings.json"]
        assert len(bundle.namelist()) == 153
        warnings = json.loads(bundle.read("warnings.json"))
    assert warnings == {"total": 150, "warnings": [*msgspec.to_builtins(WARNINGS)]}


@pytest.mark.usefixtures("worker")
def test_a_bundle_without_warnings_has_no_member_for_them(
    service: Service, key: ApiKey, bucket: Bucket
) -> None:
    request = msgspec.structs.replace(REQUEST, warnings=(), warnings_total=0)
    task_id = service.submission.submit(request, key).task_id
    with bundle_of(service, bucket, task_id, key) as bundle:
        assert len(bundle.namelist()) == 152


def test_a_replay_has_the_warnings_of_the_acceptance_and_not_those_of_today(
    service: Service, key: ApiKey
) -> None:
    first = service.submission.submit(REQUEST, key, IDEMPOTENCY)
    today = msgspec.structs.replace(REQUEST, warnings=(), warnings_total=0)
    second = service.submission.submit(today, key, IDEMPOTENCY)
    assert (second.task_id, second.replayed) == (first.task_id, True)
    assert (first.warnings, first.warnings_total) == (WARNINGS, 150)
    assert (second.warnings, second.warnings_total) == (WARNINGS, 150)


def test_a_replay_whose_request_object_is_gone_is_accepted_with_the_warnings_of_today(
    service: Service, key: ApiKey, bucket: Bucket
) -> None:
    first = service.submission.submit(REQUEST, key, IDEMPOTENCY)
    bucket.delete(keys.request_object(first.task_id))
    second = service.submission.submit(REQUEST, key, IDEMPOTENCY)
    assert (second.task_id, second.replayed) == (first.task_id, True)
    assert (second.warnings, second.warnings_total) == (WARNINGS, 150)


@pytest.mark.parametrize("by", ["poll", "sweep"])
def test_a_job_that_redis_has_lost_keeps_its_warnings_and_the_meaning_of_its_key(
    *,
    service: Service,
    key: ApiKey,
    bucket: Bucket,
    sweep: Sweep,
    redis_url: str,
    start_worker: StartWorker,
    by: str,
) -> None:
    assert sweep.once()
    task_id = service.submission.submit(REQUEST, key, IDEMPOTENCY).task_id
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    if by == "poll":
        assert service.jobs.status(task_id, key) is not None
    else:
        assert sweep.once()
    start_worker()
    with bundle_of(service, bucket, task_id, key) as bundle:
        assert json.loads(bundle.read("warnings.json"))["total"] == 150
    other_body = msgspec.structs.replace(IDEMPOTENCY, body_sha256="c" * 64)
    assert service.submission.submit(REQUEST, key, other_body).task_id == task_id
