"""A bundler that loses its claim while it uploads: it stops before the next part."""

from collections.abc import Callable

import msgspec
import pytest

from pipeline.errors import ObjectMissingError
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.ledger import Ledger
from pipeline.model.failure_reasons import CANCELLED_BY_REQUEST
from pipeline.service import Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from tests.faults.proxy import FaultProxy, Seen
from tests.integration.conftest import StartWorker
from tests.integration.test_pipeline import make_request, stage_all
from tests.waiting import wait_for

PART = 2048  # bytes; the server of these tests takes small parts
FAR_AHEAD = 4_102_444_800_000  # milliseconds since the epoch
FEWEST = 8  # parts that the bundle has


def take_over(ledger: Ledger, task_id: str) -> None:
    job = ledger_keys.job(task_id)
    ledger._client.hset(job, mapping={"claim_owner": "another", "claim_until": FAR_AHEAD})


def cancel(ledger: Ledger, task_id: str) -> None:
    assert ledger.fail_job(task_id, CANCELLED_BY_REQUEST)


def lose_the_entry(ledger: Ledger, task_id: str) -> None:
    ledger.discard_job(task_id, "")


@pytest.mark.parametrize("lose", [take_over, cancel, lose_the_entry])
def test_it_sends_no_further_part_and_completes_nothing(
    *,
    service: Service,
    settings: Settings,
    ledger: Ledger,
    bucket: Bucket,
    proxy: FaultProxy,
    start_worker: StartWorker,
    capsys: pytest.CaptureFixture[str],
    lose: Callable[[Ledger, str], None],
) -> None:
    key = service.api_keys.create(name="client", role="client").key
    task_id = service.submission.submit(make_request(), key).task_id
    stage_all(service, task_id, key, start_worker)
    parts: list[str] = []
    others: list[str] = []

    def watch(request: Seen) -> None:
        if "partNumber=" in request.target:
            if not parts:
                lose(ledger, task_id)
            parts.append(request.target)
        elif "upload" in request.target:
            others.append(request.method)

    proxy.watch = watch
    own = msgspec.structs.replace(settings, s3_endpoint_url=proxy.url, upload_part_bytes=PART)
    start_worker(settings=own)
    logged = ""

    def has_stopped() -> bool:
        nonlocal logged
        logged += "".join(capsys.readouterr())
        return "bundle lease lost" in logged

    wait_for(has_stopped, "the bundler to stop")
    # The parts of which two are in flight were taken before the claim was lost.
    assert 1 <= len(parts) <= 3
    assert others == ["POST", "DELETE"]  # begun and aborted
    with pytest.raises(ObjectMissingError):
        bucket.get(keys.bundle_object(task_id))


def test_without_that_it_sends_many_parts(
    service: Service,
    settings: Settings,
    proxy: FaultProxy,
    start_worker: StartWorker,
) -> None:
    key = service.api_keys.create(name="client", role="client").key
    task_id = service.submission.submit(make_request(), key).task_id
    parts: list[str] = []

    def watch(request: Seen) -> None:
        if "partNumber=" in request.target:
            parts.append(request.target)

    proxy.watch = watch
    own = msgspec.structs.replace(settings, s3_endpoint_url=proxy.url, upload_part_bytes=PART)
    start_worker(settings=own)
    wait_for(
        lambda: (found := service.jobs.status(task_id, key)) and found.state == "completed", "it"
    )
    assert len(parts) >= FEWEST
