"""Faults in the renderer of a real worker: the chunk fails, is not staged, and names the item."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
import redis
from falcon.testing import TestClient

from api.app import create_app
from pipeline import rendering
from pipeline.auth.api_key import ApiKey
from pipeline.model.jobs import Item, JobRequest, JobStatus
from pipeline.model.records import JobFields
from pipeline.model.states import TERMINAL
from pipeline.monitoring.metrics import VerificationMetrics
from pipeline.service import Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from render.image import Image, ImageFormat
from render.writers.png import write_pngs
from render.writers.svg_strokes import write_stroked_svgs
from tests.encoded import encoded
from tests.integration.conftest import StartWorker
from tests.integration.console_visitor import Visitor
from tests.lanes import key_in_lane
from tests.rendered import matrix
from tests.waiting import wait_for

Symbols = list[tuple[str, Image]]
Fault = Callable[[Symbols], Symbols]

SIZE = 120
#: In the second of three chunks, the first of its ten items: of SVG, the file that is drawn.
ITEM = 11


@pytest.fixture
def key(service: Service) -> ApiKey:
    return key_in_lane(service.api_keys, 0, name="client", role="client").key


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> VerificationMetrics:
    """The counters of the worker that the test starts."""
    made = VerificationMetrics()
    monkeypatch.setattr("pipeline.worker.VerificationMetrics", lambda: made)
    return made


def counted(metrics: VerificationMetrics, outcome: str, image_format: str) -> float:
    name = f"qrmill_symbols_{outcome}_total"
    return metrics.registry.get_sample_value(name, {"format": image_format}) or 0.0


def make_request(image_format: ImageFormat) -> JobRequest:
    items = [Item("LOT", f"S{number:04}", "271231") for number in range(1, 26)]
    return JobRequest(
        gtin="09506000134352",
        items=encoded(items, 10),
        format=image_format,
        size=SIZE,
        error_correction="M",
        link_base="https://id.gs1.org",
    )


def ended(service: Service, task_id: str, key: ApiKey) -> JobStatus:
    def look() -> JobStatus | None:
        status = service.jobs.status(task_id, key)
        return status if status is not None and status.state in TERMINAL else None

    return wait_for(look, "the job's end")


def manifest_rows(bucket: Bucket, task_id: str) -> list[dict[str, Any]]:
    with zipfile.ZipFile(io.BytesIO(bucket.get(keys.bundle_object(task_id)))) as bundle:
        rows: list[dict[str, Any]] = json.loads(bundle.read("manifest.json"))
    return rows


def written(image: Image, modules: Sequence[tuple[int, int]], *, encoded_so: bool) -> Image:
    """The image with these modules flipped in the file, or in the matrix as well."""
    rows = matrix(image)
    for x, y in modules:
        rows[y, 0] ^= np.uint64(1 << x)  # these symbols have one word per row
    batch = rows[np.newaxis]
    (data,) = write_stroked_svgs(batch) if image.module_px is None else write_pngs(batch, SIZE)
    return image._replace(data=data, rows=rows.tobytes() if encoded_so else image.rows)


def a_module_flipped_in_the_file(symbols: Symbols) -> Symbols:
    (uri, image), *others = symbols
    return [(uri, written(image, [(3, 3)], encoded_so=False)), *others]


def more_modules_flipped_in_the_matrix_than_its_level_corrects(symbols: Symbols) -> Symbols:
    (uri, image), *others = symbols
    many = [(x, y) for x in range(9, 24) for y in range(9, 24) if (x + y) % 2]
    return [(uri, written(image, many, encoded_so=True)), *others]


def a_byte_changed_in_the_file(symbols: Symbols) -> Symbols:
    (uri, image), *others = symbols
    middle = len(image.data) // 2
    changed = bytes((image.data[middle] ^ 1,))
    data = image.data[:middle] + changed + image.data[middle + 1 :]
    return [(uri, image._replace(data=data)), *others]


def the_uris_of_two_items_swapped(symbols: Symbols) -> Symbols:
    (first, image), (second, other), *others = symbols
    return [(second, image), (first, other), *others]


def the_symbols_of_two_items_swapped(symbols: Symbols) -> Symbols:
    first, second, *others = symbols
    return [second, first, *others]


def the_images_of_two_items_swapped(symbols: Symbols) -> Symbols:
    (first, image), (second, other), *others = symbols
    return [(first, other), (second, image), *others]


FAULTS: list[tuple[ImageFormat, Fault]] = [
    (image_format, fault)
    for image_format in ("png", "svg")
    for fault in (
        a_module_flipped_in_the_file,
        more_modules_flipped_in_the_matrix_than_its_level_corrects,
        the_uris_of_two_items_swapped,
        the_symbols_of_two_items_swapped,
        the_images_of_two_items_swapped,
    )
]
FAULTS += [("png", a_byte_changed_in_the_file)]
every_fault = pytest.mark.parametrize(
    ("image_format", "fault"), FAULTS, ids=[f"{name}-{fault.__name__}" for name, fault in FAULTS]
)


def inject(monkeypatch: pytest.MonkeyPatch, fault: Fault, *, times: int = 1_000_000) -> None:
    """Make a fault in the chunk of one item, the first ``times`` times that it is rendered."""
    render_symbols = rendering.render_symbols
    left = times

    def faulty(job: JobFields, items: Sequence[Item]) -> Symbols:
        nonlocal left
        symbols = render_symbols(job, items)
        if items[0].serial != f"S{ITEM:04}" or left == 0:
            return symbols
        left -= 1
        return fault(symbols)

    monkeypatch.setattr(rendering, "render_symbols", faulty)


@every_fault
def test_a_fault_fails_the_job_names_the_item_and_is_not_staged(
    *,
    image_format: ImageFormat,
    fault: Fault,
    service: Service,
    settings: Settings,
    key: ApiKey,
    bucket: Bucket,
    staging_bucket: Bucket,
    start_worker: StartWorker,
    metrics: VerificationMetrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inject(monkeypatch, fault)
    start_worker(settings=msgspec.structs.replace(settings, max_retries=1))
    task_id = service.submission.submit(make_request(image_format), key).task_id
    status = ended(service, task_id, key)
    assert (status.state, status.error_code, status.bundle) == ("failed", "unverified", None)
    named = f"item {ITEM} (000{ITEM}_LOT_S00{ITEM}.{image_format})"
    error = status.error or ""
    assert error.startswith(f"Chunk 1 failed after 2 tries: {named} failed verification: ")
    assert re.findall(r"S\d{4}", error) == [f"S{ITEM:04}"]  # it tells nothing of another item
    chunk = (service.jobs.chunks(task_id, key, 1, 1) or [])[0]
    assert (chunk.state, chunk.error_code) == ("failed", "unverified")
    assert named in (chunk.error or "")
    wait_for(
        lambda: (found := service.jobs.status(task_id, key)) and found.staged == 2,
        "the other chunks",
    )
    assert [*staging_bucket.list_keys("")] == [keys.staged_zip(task_id, n) for n in (0, 2)]
    assert [name for name in bucket.list_keys("") if "bundle" in name] == []
    swapped = "two_items" in fault.__name__
    assert counted(metrics, "unverified", image_format) == 2 * (2 if swapped else 1)
    assert counted(metrics, "verified", image_format) == 15


@every_fault
def test_without_verification_the_same_fault_is_delivered_as_unverified(
    *,
    image_format: ImageFormat,
    fault: Fault,
    service: Service,
    settings: Settings,
    key: ApiKey,
    bucket: Bucket,
    start_worker: StartWorker,
    metrics: VerificationMetrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inject(monkeypatch, fault)
    start_worker(settings=msgspec.structs.replace(settings, verify="off"))
    task_id = service.submission.submit(make_request(image_format), key).task_id
    status = ended(service, task_id, key)
    assert status.state == "completed"
    assert status.bundle is not None
    assert not status.bundle.verified
    assert [row["verified"] for row in manifest_rows(bucket, task_id)] == [False] * 25
    assert counted(metrics, "verified", image_format) == 0
    assert counted(metrics, "unverified", image_format) == 0


@pytest.mark.parametrize("image_format", ["png", "svg"])
def test_a_fault_that_a_retry_does_not_meet_again_is_retried(
    *,
    image_format: ImageFormat,
    service: Service,
    key: ApiKey,
    bucket: Bucket,
    start_worker: StartWorker,
    metrics: VerificationMetrics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inject(monkeypatch, a_module_flipped_in_the_file, times=1)
    start_worker()
    task_id = service.submission.submit(make_request(image_format), key).task_id
    status = ended(service, task_id, key)
    assert (status.state, status.error) == ("completed", None)
    assert status.bundle is not None
    assert status.bundle.verified
    assert [row["verified"] for row in manifest_rows(bucket, task_id)] == [True] * 25
    assert counted(metrics, "unverified", image_format) == 1
    assert counted(metrics, "verified", image_format) == 25


@pytest.mark.parametrize("staging", ["zip", "object"])
def test_a_verified_job_says_so_everywhere_and_after_redis_lost_it(
    *,
    staging: str,
    service: Service,
    settings: Settings,
    client: TestClient,
    operator_token: str,
    bucket: Bucket,
    start_worker: StartWorker,
    redis_url: str,
) -> None:
    start_worker(settings=msgspec.structs.replace(settings, staging=staging))
    body = {"gtin": "9506000134352", "items": [{"serial": f"S{n}"} for n in range(25)]}
    task_id = client.simulate_post("/qr/bulk/", json=body).json["task_id"]
    operator = service.api_keys.authenticate(operator_token)
    assert operator is not None
    assert ended(service, task_id, operator).state == "completed"
    with zipfile.ZipFile(io.BytesIO(bucket.get(keys.bundle_object(task_id)))) as bundle:
        table = [*csv.DictReader(io.StringIO(bundle.read("manifest.csv").decode()))]
    assert [*table[0]][10:12] == ["sha256", "verified"]
    assert {row["verified"] for row in table} == {"true"}
    assert [row["verified"] for row in manifest_rows(bucket, task_id)] == [True] * 25
    visitor = Visitor(create_app(service, settings))
    assert visitor.sign_in(operator_token).status_code == 303
    assert ">verified</p>" in visitor.get(f"/ops/jobs/{task_id}").text
    result = wait_for(lambda: service.jobs._records.read_result(task_id), "the result record")
    assert result.bundle is not None
    assert result.bundle.verified
    with redis.Redis.from_url(redis_url) as connection:
        connection.flushall()
    poll = client.simulate_get(f"/qr/bulk/{task_id}/").json
    assert (poll["status"], poll["bundle"]["verified"]) == ("completed", True)
