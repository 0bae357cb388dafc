"""Jobs whose symbols are pages of one PDF, from the request to the bundle, over real servers."""

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pypdfium2
import pytest

from pipeline import rendering
from pipeline.auth.api_key import ApiKey
from pipeline.broker.names import RENDER_QUEUE
from pipeline.ledger.ledger import Ledger
from pipeline.model.chunks import StagedBytes, StagedChunk
from pipeline.model.jobs import Item, JobRequest, JobStatus
from pipeline.model.layout import Layout
from pipeline.model.states import TERMINAL
from pipeline.rendering import render_items
from pipeline.service import Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.staging import make_staging
from render.chunk import render_pages
from render.image import Image, ImageFormat, RenderOptions
from render.writers.pdf_document import PageRun
from tests.encoded import encoded
from tests.integration.conftest import StartWorker
from tests.staged import CHUNK_TIMES
from tests.unit.render.oracles import read
from tests.unit.render.pdf_files import pdf_objects
from tests.unit.render.renderers import GHOSTSCRIPT, ghostscript_pages
from tests.waiting import wait_for

SINGLE = Layout(xdim_mm=0.495, pages="single")
EveryStaging = pytest.mark.parametrize("staging", ["zip", "object"])


@pytest.fixture
def key(service: Service) -> ApiKey:
    return service.api_keys.create(name="client", role="client").key


def make_request(
    count: int = 25,
    layout: Layout = SINGLE,
    image_format: ImageFormat = "pdf",
    chunk_size: int = 10,
) -> JobRequest:
    items = [Item("LOT" * (1 + n % 5), f"S{n:04}", "271231") for n in range(count)]
    return JobRequest(
        gtin="09506000134352",
        items=encoded(items, chunk_size),
        format=image_format,
        size=400,
        error_correction="M",
        link_base="https://id.gs1.org",
        layout=layout,
    )


def ended(service: Service, task_id: str, key: ApiKey) -> JobStatus:
    def look() -> JobStatus | None:
        status = service.jobs.status(task_id, key)
        return status if status is not None and status.state in TERMINAL else None

    return wait_for(look, "the job's end")


def completed(service: Service, task_id: str, key: ApiKey) -> JobStatus:
    status = ended(service, task_id, key)
    assert (status.state, status.error) == ("completed", None)
    return status


def checked(data: bytes, count: int, folder: Path) -> list[dict[str, Any]]:
    """Return the manifest of a bundle of which every page is read and compared with its row."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["manifest.csv", "manifest.json", "symbols.pdf"]
        rows: list[dict[str, Any]] = json.loads(archive.read("manifest.json"))
        table = [*csv.DictReader(io.StringIO(archive.read("manifest.csv").decode(), newline=""))]
        document = archive.read("symbols.pdf")
    assert [row["page"] for row in rows] == [row["index"] for row in rows] == [*range(1, count + 1)]
    assert [int(row["page"]) for row in table] == [row["page"] for row in rows]
    assert {row["file"] for row in rows} == {"symbols.pdf"}
    texts = [text for _, text in sorted(pdf_objects(document).items())]
    streams = [text.partition(b"stream\n")[2][:-10] for text in texts if b"/FlateDecode" in text]
    assert [hashlib.sha256(each).hexdigest() for each in streams] == [row["sha256"] for row in rows]
    with pypdfium2.PdfDocument(document) as pages:
        assert len(pages) == count
        for row, page in zip(rows, pages, strict=True):
            assert read(page.render(scale=300 / 72, grayscale=True).to_numpy()) == [row["uri"]]
    if GHOSTSCRIPT:
        (folder / "symbols.pdf").write_bytes(document)
        assert ghostscript_pages(folder / "symbols.pdf") == count
    return rows


@EveryStaging
def test_all_symbols_are_pages_of_one_file(
    *,
    staging: str,
    service: Service,
    settings: Settings,
    key: ApiKey,
    bucket: Bucket,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    start_worker(settings=msgspec.structs.replace(settings, staging=staging))
    task_id = service.submission.submit(make_request(), key).task_id
    status = completed(service, task_id, key)
    data = bucket.get(keys.bundle_object(task_id))
    rows = checked(data, 25, tmp_path)
    assert [row["verified"] for row in rows] == [True] * 25
    assert status.bundle is not None
    assert status.bundle.verified
    assert (status.bundle.bytes, status.bundle.sha256) == (
        len(data),
        hashlib.sha256(data).hexdigest(),
    )


def stage_all(
    service: Service, task_id: str, key: ApiKey, start_worker: StartWorker, settings: Settings
) -> None:
    renders_only = start_worker({RENDER_QUEUE}, settings)
    wait_for(
        lambda: (found := service.jobs.status(task_id, key)) and found.staged == 3,
        "three staged chunks",
    )
    renders_only.stop()


@EveryStaging
@pytest.mark.parametrize("kept_bytes", [0, 8 * 1024 * 1024])
@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_run_of_pages_is_rendered_again_and_never_bundled(
    *,
    staging: str,
    kept_bytes: int,
    damage: str,
    service: Service,
    settings: Settings,
    key: ApiKey,
    bucket: Bucket,
    staging_bucket: Bucket,
    start_worker: StartWorker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With all chunks kept in memory between the passes, and with none."""
    monkeypatch.setattr("pipeline.actors.chunk_reader._KEPT_BYTES", kept_bytes)
    settings = msgspec.structs.replace(settings, staging=staging)
    task_id = service.submission.submit(make_request(), key).task_id
    stage_all(service, task_id, key, start_worker, settings)
    name = keys.staged_zip(task_id, 1)
    if staging == "object":
        name = keys.staged_image(task_id, 1, "symbols.pdf")
    if damage == "missing":
        staging_bucket.delete(name)
    else:
        staging_bucket.put(name, staging_bucket.get(name).replace(b"MediaBox", b"mediaBox", 1))
    start_worker(settings=settings)
    completed(service, task_id, key)
    checked(bucket.get(keys.bundle_object(task_id)), 25, tmp_path)


@EveryStaging
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_run_of_pages_written_twice_is_written_once(
    *,
    staging: str,
    order: str,
    service: Service,
    settings: Settings,
    key: ApiKey,
    bucket: Bucket,
    staging_bucket: Bucket,
    ledger: Ledger,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    """By a worker that dies before it records the chunk, or records it after another worker."""
    settings = msgspec.structs.replace(settings, staging=staging)
    task_id = service.submission.submit(make_request(), key).task_id
    work = ledger.begin_chunk(task_id, 1, 60_000, "m")
    assert work is not None
    items = service.jobs._records.read_items(task_id, work.offset, work.length)
    rows, _, files = render_items(work, items)
    verified = [msgspec.structs.replace(row, verified=True) for row in rows]

    def write() -> StagedBytes:
        return make_staging(staging, staging_bucket).stage(task_id, 1, verified, files)

    def stored() -> dict[str, bytes]:
        return {name: staging_bucket.get(name) for name in staging_bucket.list_keys("")}

    if order == "before":
        write()
    stage_all(service, task_id, key, start_worker, settings)
    before, recorded = stored(), ledger.staged_chunks(task_id)
    if order == "after":
        staged = StagedChunk(**msgspec.structs.asdict(write()), times=CHUNK_TIMES)
        assert ledger.stage_chunk(work, staged, 60_000) == 0
    assert stored() == before
    digests = [chunk.sha256 for chunk in ledger.staged_chunks(task_id)]
    assert digests == [chunk.sha256 for chunk in recorded]
    start_worker(settings=settings)
    assert completed(service, task_id, key).processed_items == 25
    checked(bucket.get(keys.bundle_object(task_id)), 25, tmp_path)


def test_a_job_is_the_same_whatever_the_staging_and_the_chunks(
    *,
    service: Service,
    settings: Settings,
    key: ApiKey,
    bucket: Bucket,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_795_000_000 * 10**9)
    bundles = []
    for staging, chunk_size in (("zip", 10), ("object", 10), ("zip", 7), ("zip", 100)):
        request = make_request(chunk_size=chunk_size)
        running = start_worker(settings=msgspec.structs.replace(settings, staging=staging))
        task_id = service.submission.submit(request, key).task_id
        completed(service, task_id, key)
        running.stop()
        bundles.append(bucket.get(keys.bundle_object(task_id)))
    assert all(each == bundles[0] for each in bundles)


def test_a_wrong_page_fails_the_job_and_names_its_item(
    *,
    service: Service,
    settings: Settings,
    key: ApiKey,
    staging_bucket: Bucket,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The content streams of all images are right, but the run has others."""

    def faulty(
        uris: Sequence[str], options: RenderOptions, first: int
    ) -> tuple[PageRun, list[Image]]:
        run, images = render_pages(uris, options, first)
        if first != 10:
            return run, images
        return render_pages([uri.replace("S00", "S99") for uri in uris], options, first)[0], images

    monkeypatch.setattr(rendering, "render_pages", faulty)
    start_worker(settings=msgspec.structs.replace(settings, max_retries=0))
    task_id = service.submission.submit(make_request(), key).task_id
    status = ended(service, task_id, key)
    assert (status.state, status.error_code) == ("failed", "unverified")
    assert "(symbols.pdf) failed verification: the file as drawn differs" in (status.error or "")
    wait_for(
        lambda: (found := service.jobs.status(task_id, key)) and found.staged == 2,
        "the other chunks",
    )
    assert [*staging_bucket.list_keys("")] == [keys.staged_zip(task_id, n) for n in (0, 2)]


@EveryStaging
@pytest.mark.parametrize("image_format", ["pdf", "eps", "svg", "png"])
def test_datamerge_is_in_the_bundle_of_files_of_physical_size(
    *,
    staging: str,
    image_format: ImageFormat,
    service: Service,
    settings: Settings,
    key: ApiKey,
    bucket: Bucket,
    start_worker: StartWorker,
) -> None:
    dpi = 600 if image_format == "png" else None
    layout = Layout(xdim_mm=0.495, dpi=dpi, outlines=image_format == "svg", datamerge=True)
    start_worker(settings=msgspec.structs.replace(settings, staging=staging))
    request = make_request(layout=layout, image_format=image_format)
    task_id = service.submission.submit(request, key).task_id
    status = completed(service, task_id, key)
    assert status.bundle is not None
    assert status.bundle.verified
    with zipfile.ZipFile(io.BytesIO(bucket.get(keys.bundle_object(task_id)))) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        rows = json.loads(archive.read("manifest.json"))
        text = archive.read("datamerge.csv").decode()
        digests = [hashlib.sha256(archive.read(name)).hexdigest() for name in names[3:]]
    table = [*csv.DictReader(io.StringIO(text, newline=""))]
    assert names[:3] == ["manifest.csv", "manifest.json", "datamerge.csv"]
    assert [row["@qr"] for row in table] == names[3:] == [row["file"] for row in rows]
    assert [row["uri"] for row in table] == [row["uri"] for row in rows]
    assert digests == [row["sha256"] for row in rows]
    assert "page" not in rows[0]
    assert {row["width_mm"] is None for row in rows} == {False}
