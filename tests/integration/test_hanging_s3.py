"""An S3 that takes requests and answers none: who waits for it, and how often it is asked."""

from collections.abc import Iterator

import msgspec
import pytest
import redis
from falcon.testing import TestClient

from api.app import create_app
from pipeline import service
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.sweep import open_sweep
from pipeline.monitoring import health
from pipeline.service import Service, Settings, StoreUnavailableError, open_service
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.clients import open_storage
from tests.faults.proxy import FULL, PASS, FaultProxy, Mode, Seen
from tests.integration.conftest import StartWorker
from tests.integration.test_pipeline import ended, make_request
from tests.waiting import wait_for

BODY = {"gtin": "9506000134352", "items": [{"serial": "1"}]}
HANGING = Mode(delay=600)
REFUSING = Mode(refused=1.0)


@pytest.fixture
def behind(settings: Settings, proxy: FaultProxy) -> Settings:
    """Settings whose S3 may hang."""
    return msgspec.structs.replace(settings, s3_endpoint_url=proxy.url)


@pytest.fixture
def client(behind: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """A client whose key is known to the API, which waits a second instead of two and three."""
    monkeypatch.setattr(service, "_S3_TIMEOUT", 1)
    monkeypatch.setattr(service, "_FAIL_FAST_TIMEOUT", 1)
    opened = open_service(behind)
    token = opened.api_keys.create(name="client", role="client").token
    found = TestClient(create_app(opened, behind), headers={"X-API-Key": token})
    assert found.simulate_post("/qr/bulk/", json=BODY).status_code == 202
    yield found
    opened.jobs.stop_waiting()


def watched(proxy: FaultProxy) -> list[str]:
    """Return a list that gets the method of each request from now on."""
    seen: list[str] = []

    def watch(request: Seen) -> None:
        seen.append(request.method)

    proxy.watch = watch
    return seen


def test_a_post_is_refused_after_two_attempts_and_one_to_undo(
    client: TestClient, proxy: FaultProxy
) -> None:
    seen = watched(proxy)
    proxy.mode = HANGING
    answer = client.simulate_post("/qr/bulk/", json=BODY)
    assert (answer.status_code, answer.json["error_code"]) == (503, "unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert seen == ["PUT", "PUT", "DELETE"]


def test_these_attempts_end_within_ten_seconds() -> None:
    for_leave = 1  # second that botocore waits before it sends a body (Expect: 100-continue)
    writing = service._S3_ATTEMPTS * (for_leave + service._S3_TIMEOUT)
    assert writing + service._FAIL_FAST_TIMEOUT <= 10
    # A probe's answer comes before the least patient one who asks, Docker's, has given up.
    assert service._FAIL_FAST_TIMEOUT < health._PROBE_PATIENCE < 4


def test_a_probe_asks_each_bucket_once_and_names_them(
    client: TestClient, proxy: FaultProxy
) -> None:
    seen = watched(proxy)
    proxy.mode = HANGING
    answer = client.simulate_get("/readyz")
    assert answer.status_code == 503
    assert answer.json["unavailable"] == ["s3", "s3_staging"]
    assert seen == ["HEAD", "HEAD"]
    assert client.simulate_get("/healthz").status_code == 200
    proxy.mode = PASS
    wait_for(lambda: client.simulate_get("/readyz").status_code == 200, "S3 to be back", pause=0.2)


def test_others_keep_their_patience(behind: Settings, proxy: FaultProxy) -> None:
    seen = watched(proxy)
    proxy.mode = HANGING
    with pytest.raises(StoreUnavailableError, match="ReadTimeoutError"):
        open_storage(behind, read_timeout=1).bucket.check()
    assert len(seen) == 3


def test_late_jobs_fail_in_one_sweep_which_asks_for_one_of_them(
    *,
    client: TestClient,
    behind: Settings,
    proxy: FaultProxy,
    redis_url: str,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("pipeline.maintenance.sweep._TIMEOUT", 1)
    late = [client.simulate_post("/qr/bulk/", json=BODY).json["task_id"] for _ in range(4)]
    sweep = open_sweep(behind)
    assert sweep.once()
    with redis.Redis.from_url(redis_url, decode_responses=True) as connection:
        for task_id in late:
            connection.hset(ledger_keys.job(task_id), "deadline_at", 1)
        seen = watched(proxy)
        proxy.mode = HANGING
        with pytest.raises(StoreUnavailableError):
            sweep.once()
        assert Ledger(connection).states(late) == ["failed"] * len(late)
    assert seen == ["PUT"] * 3
    proxy.mode = PASS
    monkeypatch.setattr("pipeline.maintenance.retention._UNRECORDED", 0)
    assert sweep.once()
    assert {keys.result_object(task_id) for task_id in late} < {*bucket.list_keys(keys.JOBS)}


@pytest.mark.parametrize("mode", [HANGING, REFUSING, FULL, None])
def test_a_job_is_cancelled_without_s3_and_its_record_left_to_the_sweep(
    *,
    client: TestClient,
    settings: Settings,
    proxy: FaultProxy,
    bucket: Bucket,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    mode: Mode | None,
) -> None:
    task_id = client.simulate_post("/qr/bulk/", json=BODY).json["task_id"]
    if mode is None:
        proxy.stop()  # connections are refused
    else:
        proxy.mode = mode
    for _ in range(2):
        cancelled = client.simulate_delete(f"/qr/bulk/{task_id}/")
        assert (cancelled.status_code, cancelled.json["error_code"]) == (200, "cancelled")
    assert "result not recorded" in "".join(capsys.readouterr())
    assert client.simulate_get(f"/qr/bulk/{task_id}/").json["status"] == "failed"
    assert keys.result_object(task_id) not in [*bucket.list_keys(keys.JOBS)]
    monkeypatch.setattr("pipeline.maintenance.retention._UNRECORDED", 0)
    assert open_sweep(settings).once()
    assert keys.result_object(task_id) in [*bucket.list_keys(keys.JOBS)]


def test_a_cancellation_tries_a_hanging_s3_once(client: TestClient, proxy: FaultProxy) -> None:
    task_id = client.simulate_post("/qr/bulk/", json=BODY).json["task_id"]
    seen = watched(proxy)
    proxy.mode = HANGING
    assert client.simulate_delete(f"/qr/bulk/{task_id}/").status_code == 200
    assert seen == ["PUT"]


def test_a_re_run_without_s3_changes_nothing(client: TestClient, proxy: FaultProxy) -> None:
    task_id = client.simulate_post("/qr/bulk/", json=BODY).json["task_id"]
    client.simulate_delete(f"/qr/bulk/{task_id}/")
    proxy.mode = REFUSING
    assert client.simulate_post(f"/qr/bulk/{task_id}/retry/").status_code == 503
    assert client.simulate_get(f"/qr/bulk/{task_id}/").json["error_code"] == "cancelled"


def test_a_bundle_whose_record_is_refused_is_done_and_the_record_left_to_the_sweep(
    *,
    service: Service,
    settings: Settings,
    behind: Settings,
    proxy: FaultProxy,
    bucket: Bucket,
    start_worker: StartWorker,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = service.api_keys.create(name="client", role="client").key

    def refuse_records(request: Seen) -> None:
        proxy.mode = REFUSING if request.target.endswith("/result.json") else PASS

    proxy.watch = refuse_records
    start_worker(settings=behind)
    task_id = service.submission.submit(make_request(), key).task_id
    assert ended(service, task_id, key).state == "completed"
    wait_for(lambda: "result not recorded" in "".join(capsys.readouterr()), "the worker to tell")
    assert keys.result_object(task_id) not in [*bucket.list_keys(keys.JOBS)]
    monkeypatch.setattr("pipeline.maintenance.retention._UNRECORDED", 0)
    assert open_sweep(settings).once()
    assert keys.result_object(task_id) in [*bucket.list_keys(keys.JOBS)]
