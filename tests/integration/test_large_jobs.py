"""What a job costs in requests, and what a large one takes of a worker's memory."""

import collections
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dramatiq
import msgspec
import psutil
import pypdfium2
import pytest

from deploy.embedded import servers
from pipeline import worker
from pipeline.auth.api_key import ApiKey
from pipeline.model.jobs import Item, JobRequest, JobStatus
from pipeline.model.layout import FIRST_LAYOUT, Layout
from pipeline.model.states import TERMINAL
from pipeline.service import Service, Settings, open_service
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.clients import connect_s3
from render.image import ImageFormat
from tests.encoded import encoded
from tests.unit.render.oracles import read
from tests.waiting import wait_for

if TYPE_CHECKING:
    from types_boto3_s3.client import S3Client

USUAL, LARGE = 5000, 100_000
#: S3 requests that a job of 5000 items may take, from its acceptance to the end of its staging.
MOST_REQUESTS = 60
#: How much more memory than a job of 5000 items one of 100,000 may take of a worker.
MOST_GROWTH = 1.3
REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def usual_settings(settings: Settings) -> Settings:
    """The settings of a deployment that changes none but the limit of items."""
    defaults = Settings()
    return msgspec.structs.replace(settings, chunk_size=defaults.chunk_size, max_items=LARGE)


def make_request(
    count: int, image_format: ImageFormat = "svg", layout: Layout = FIRST_LAYOUT
) -> JobRequest:
    items = [Item(f"LOT{index % 97:03}", f"SER{index:08}", "271231") for index in range(count)]
    return JobRequest(
        gtin="09506000134352",
        items=encoded(items, Settings().chunk_size),
        format=image_format,
        size=400,
        error_correction="M",
        link_base="https://id.gs1.org",
        layout=layout,
    )


def complete(service: Service, key: ApiKey, request: JobRequest) -> str:
    """Return the task id of a job that is complete."""
    task_id = service.submission.submit(request, key).task_id

    def look() -> JobStatus | None:
        status = service.jobs.status(task_id, key)
        return status if status is not None and status.state in TERMINAL else None

    status = wait_for(look, f"the end of {request.items.count} items", seconds=150)
    assert (status.state, status.error) == ("completed", None)
    return task_id


def test_a_job_of_5000_items_takes_few_s3_requests(
    usual_settings: Settings, staging_bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: collections.Counter[str] = collections.Counter()

    def connect(*given: Any, **options: Any) -> "S3Client":  # noqa: ANN401 - passed on
        client = connect_s3(*given, **options)
        client.meta.events.register(
            "before-send.s3.*",
            lambda event_name, **_: sent.update([event_name.rpartition(".")[2]]),
        )
        return client

    monkeypatch.setattr("pipeline.storage.clients.connect_s3", connect)
    jobs = open_service(usual_settings)
    key = jobs.api_keys.create(name="client", role="client").key
    sent.clear()
    with closing(worker.build_worker(usual_settings)) as broker:
        running = dramatiq.Worker(broker, worker_threads=2, worker_timeout=50)
        running.start()
        try:
            complete(jobs, key, make_request(USUAL))
            wait_for(lambda: not [*staging_bucket.list_keys("")], "an empty staging bucket")
        finally:
            running.stop()
    # The request, two reads of each of ten chunks at most, and the bundle and the result.
    assert sent["PutObject"] == 1 + USUAL // Settings().chunk_size + 2
    assert sent.total() <= MOST_REQUESTS, sent


StartProcesses = Callable[[Settings], list[psutil.Process]]


@pytest.fixture
def start_processes(tmp_path: Path, s3: servers.S3Server) -> Iterator[StartProcesses]:
    """Starts Dramatiq's command line as in production, with two worker processes."""
    running: list[subprocess.Popen[bytes]] = []

    def start(settings: Settings) -> list[psutil.Process]:
        environment = {
            f"QRMILL_{name.upper()}": str(getattr(settings, name))
            for name in ("redis_url", "s3_endpoint_url", "bucket", "staging_bucket")
        }
        environment["QRMILL_S3_ACCESS_KEY_ID"] = s3.access_key_id
        environment["QRMILL_S3_SECRET_ACCESS_KEY"] = s3.secret_access_key
        command = [sys.executable, "-m", "dramatiq", "pipeline.worker:setup_broker"]
        command += ["--processes", "2", "--threads", "2", "--skip-logging"]
        environ = {**os.environ, **environment, "dramatiq_queue_prefetch": "2"}
        with (tmp_path / "worker.log").open("wb") as log:
            master = subprocess.Popen(
                command, cwd=REPOSITORY, env=environ, stdout=log, stderr=subprocess.STDOUT
            )
        running.append(master)
        children = psutil.Process(master.pid).children
        return wait_for(lambda: found if len(found := children()) == 2 else None, "both processes")

    yield start
    for master in running:
        master.terminate()
        master.wait(60)


def peak_kilobytes(processes: list[psutil.Process]) -> int:
    """Return the most memory that one of the processes has had resident since it began."""
    statuses = [Path(f"/proc/{process.pid}/status").read_text("ascii") for process in processes]
    return max(int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) for status in statuses)


@pytest.mark.long
def test_a_large_job_takes_little_more_memory_than_a_usual_one_and_its_bundle_is_whole(
    usual_settings: Settings, start_processes: StartProcesses, bucket: Bucket, tmp_path: Path
) -> None:
    jobs = open_service(usual_settings)
    key = jobs.api_keys.create(name="client", role="client").key
    processes = start_processes(usual_settings)
    complete(jobs, key, make_request(USUAL))
    usual = peak_kilobytes(processes)
    task_id = complete(jobs, key, make_request(LARGE))
    growth = peak_kilobytes(processes) / usual
    assert growth < MOST_GROWTH, (growth, usual)
    path = tmp_path / "bundle.zip"
    path.write_bytes(bucket.get(keys.bundle_object(task_id)))
    with zipfile.ZipFile(path) as opened:
        names = opened.namelist()
        rows = msgspec.json.decode(opened.read("manifest.json"))
        assert opened.read(names[-1]).startswith(b"<svg")
    assert names[2:] == [row["file"] for row in rows]
    assert [row["serial"] for row in rows] == [f"SER{index:08}" for index in range(LARGE)]
    if shutil.which("unzip") is not None:
        subprocess.run(["unzip", "-t", "-qq", path], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.long
def test_a_document_of_100_000_pages_takes_little_more_memory_than_one_of_5000(
    usual_settings: Settings, start_processes: StartProcesses, bucket: Bucket, tmp_path: Path
) -> None:
    jobs = open_service(usual_settings)
    key = jobs.api_keys.create(name="client", role="client").key
    layout = Layout(xdim_mm=0.495, pages="single")
    processes = start_processes(usual_settings)
    complete(jobs, key, make_request(USUAL, "pdf", layout))
    usual = peak_kilobytes(processes)
    task_id = complete(jobs, key, make_request(LARGE, "pdf", layout))
    growth = peak_kilobytes(processes) / usual
    assert growth < MOST_GROWTH, (growth, usual)
    path = tmp_path / "bundle.zip"
    path.write_bytes(bucket.get(keys.bundle_object(task_id)))
    with zipfile.ZipFile(path) as opened:
        assert opened.namelist() == ["manifest.csv", "manifest.json", "symbols.pdf"]
        rows = msgspec.json.decode(opened.read("manifest.json"))
        opened.extract("symbols.pdf", tmp_path)  # which checks its checksum
    assert [row["page"] for row in rows] == [*range(1, LARGE + 1)]
    with pypdfium2.PdfDocument(tmp_path / "symbols.pdf") as pages:
        assert len(pages) == LARGE
        for row in rows[::997]:
            bitmap = pages[row["page"] - 1].render(scale=300 / 72, grayscale=True)
            assert read(bitmap.to_numpy()) == [row["uri"]]
