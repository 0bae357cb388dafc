"""A bundler stalls between its last renewal and its upload, and loses its claim.

Another bundler takes the claim and completes the job with other bytes, because a worker that does
not verify has staged a chunk again. Then the first one, which is a process of its own, continues
and replaces the bundle in S3. The server is rclone's: moto's responds with 500 to an upload that is
completed after another one of the same key.

The worker of a job of one chunk may stall too: before it sends its bundle, after its last renewal.
"""

import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest
import redis

from deploy.embedded import servers
from pipeline.auth.api_key import ApiKey
from pipeline.broker.names import BUNDLE_QUEUE, EXPRESS_QUEUE, RENDER_QUEUE
from pipeline.ledger import keys as ledger_keys
from pipeline.ledger.entries import ChunkWork
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.sweep import open_sweep
from pipeline.model.chunks import StagedChunk
from pipeline.model.jobs import Item, JobRequest, JobStatus
from pipeline.model.records import Bundle, Result
from pipeline.rendering import render_items
from pipeline.service import Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.staging import make_staging
from tests.encoded import encoded
from tests.integration.conftest import StartWorker
from tests.staged import CHUNK_TIMES
from tests.waiting import wait_for

REPOSITORY = Path(__file__).parents[2]
StartStalling = Callable[..., psutil.Process]


@pytest.fixture
def key(service: Service) -> ApiKey:
    return service.api_keys.create(name="client", role="client").key


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "stalling.log"


@pytest.fixture
def start_stalling(
    settings: Settings, s3: servers.S3Server, log_file: Path
) -> Iterator[StartStalling]:
    """Start a bundler of whose claim the lease is a second."""
    running: list[subprocess.Popen[bytes]] = []
    environment = {
        f"QRMILL_{name.upper()}": str(getattr(settings, name))
        for name in ("redis_url", "s3_endpoint_url", "bucket", "staging_bucket", "chunk_size")
    }
    environment |= {
        "QRMILL_S3_ACCESS_KEY_ID": s3.access_key_id,
        "QRMILL_S3_SECRET_ACCESS_KEY": s3.secret_access_key,
        "QRMILL_LEASE": "1",
        "QRMILL_LOG_FORMAT": "json",
    }

    def start(then: str, *queues: str) -> psutil.Process:
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.stalling_bundler", then, *queues],
                cwd=REPOSITORY,
                env=os.environ | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        running.append(process)
        return psutil.Process(process.pid)

    yield start
    for process in running:
        process.kill()
        process.wait(60)
        print(log_file.read_text())  # noqa: T201 - pytest shows it if the test fails


def submit(service: Service, key: ApiKey, count: int = 25) -> str:
    request = JobRequest(
        gtin="09506000134352",
        items=encoded([Item("LOT", f"S{number:04}") for number in range(1, count + 1)], 10),
        format="png",
        size=120,
        error_correction="M",
        link_base="https://id.gs1.org",
    )
    return service.submission.submit(request, key).task_id


def status_of(service: Service, task_id: str, key: ApiKey) -> JobStatus:
    found = service.jobs.status(task_id, key)
    assert found is not None
    return found


def stage_unverified(
    service: Service, ledger: Ledger, staging_bucket: Bucket, work: ChunkWork
) -> None:
    items = service.jobs._records.read_items(work.job.task_id, work.offset, work.length)
    rows, _, files = render_items(work, items)
    staging = make_staging("zip", staging_bucket)
    staged = staging.stage(work.job.task_id, work.chunk_index, rows, files)
    record = StagedChunk(**msgspec.structs.asdict(staged), times=CHUNK_TIMES)
    assert ledger.stage_chunk(work, record, 60_000) == 0


class Scene:
    """A job of which one bundler is stalled, and whose chunks are not all verified any more."""

    def __init__(
        self,
        *,
        service: Service,
        settings: Settings,
        key: ApiKey,
        ledger: Ledger,
        bucket: Bucket,
        staging_bucket: Bucket,
        start_worker: StartWorker,
    ) -> None:
        self.service, self.settings, self.key = service, settings, key
        self.ledger, self.bucket = ledger, bucket
        self._staging_bucket, self._start_worker = staging_bucket, start_worker
        self.task_id = submit(service, key)

    def stall(self, stalled: psutil.Process) -> None:
        """Wait until the bundler has stopped and its claim can be taken."""
        work = self.ledger.begin_chunk(self.task_id, 1, 60_000, "m")
        assert work is not None
        renders = self._start_worker({RENDER_QUEUE})
        wait_for(lambda: stalled.status() == psutil.STATUS_STOPPED, "a stopped bundler")
        renders.stop()
        assert status_of(self.service, self.task_id, self.key).state == "running"
        assert [*self.bucket.list_keys(keys.bundle_object(self.task_id))] == []
        stage_unverified(self.service, self.ledger, self._staging_bucket, work)

    def rescue(self) -> None:
        """Have the sweep request the bundle again, once the claim has expired."""
        sweep = open_sweep(self.settings)
        with redis.Redis.from_url(self.settings.redis_url) as client:

            def look() -> bool:
                client.hset(ledger_keys.job(self.task_id), "moved_at", 0)
                sweep.once()
                return bool(client.llen(ledger_keys.queue(BUNDLE_QUEUE)))

            # The stalled process has fetched the messages before.
            wait_for(look, "a waiting message about the bundle")

    def completed(self) -> Bundle:
        def look() -> Bundle | None:
            return status_of(self.service, self.task_id, self.key).bundle

        return wait_for(look, "a completed job")

    def stored(self) -> Bundle:
        """Return the recorded bundle, which is the one in S3 and in the result record."""

        def agreed() -> Bundle | None:
            recorded = status_of(self.service, self.task_id, self.key).bundle
            result = self.service.jobs._records.read_result(self.task_id)
            data = self.bucket.get(keys.bundle_object(self.task_id))
            size, sha256 = len(data), hashlib.sha256(data).hexdigest()
            assert recorded is not None
            same = (recorded.bytes, recorded.sha256) == (size, sha256)
            return recorded if same and result and result.bundle == recorded else None

        bundle = wait_for(agreed, "ledger, result record and S3 with the same bundle", seconds=20)
        data = self.bucket.get(keys.bundle_object(self.task_id))
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            assert archive.testzip() is None
            rows = json.loads(archive.read("manifest.json"))
        assert bundle.verified == all(row["verified"] for row in rows)
        return bundle


@pytest.fixture
def scene(
    *,
    service: Service,
    settings: Settings,
    key: ApiKey,
    ledger: Ledger,
    bucket: Bucket,
    staging_bucket: Bucket,
    start_worker: StartWorker,
) -> Scene:
    return Scene(
        service=service,
        settings=settings,
        key=key,
        ledger=ledger,
        bucket=bucket,
        staging_bucket=staging_bucket,
        start_worker=start_worker,
    )


def test_a_late_upload_replaces_the_recorded_bundle(
    scene: Scene, start_stalling: StartStalling, start_worker: StartWorker
) -> None:
    stalled = start_stalling("continue")
    scene.stall(stalled)
    scene.rescue()
    start_worker({BUNDLE_QUEUE})
    first = scene.completed()
    assert not first.verified
    assert scene.stored() == first
    stalled.send_signal(signal.SIGCONT)
    wait_for(lambda: scene.completed() != first, "another recorded bundle")
    late = scene.stored()
    assert late.verified
    assert late.expires_at == first.expires_at


def test_an_upload_that_is_late_before_the_job_is_completed_is_recorded(
    scene: Scene,
    start_stalling: StartStalling,
    start_worker: StartWorker,
    log_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bundler that holds the claim has uploaded its bundle, and not yet completed the job."""
    stalled = start_stalling("continue")
    scene.stall(stalled)
    scene.rescue()
    complete_job = Ledger.complete_job

    def complete_after(ledger: Ledger, *given: str | Bundle) -> Result | None:
        stalled.send_signal(signal.SIGCONT)
        wait_for(lambda: b"bundle completed" in log_file.read_bytes(), "the late upload")
        return complete_job(ledger, *given)  # type: ignore[arg-type] # passed on

    monkeypatch.setattr(Ledger, "complete_job", complete_after)
    start_worker({BUNDLE_QUEUE})
    wait_for(lambda: scene.completed().verified, "the late bundle")
    assert scene.stored().verified


def test_the_late_upload_of_a_bundler_that_died_is_recorded_at_the_next_message(
    scene: Scene, start_stalling: StartStalling, start_worker: StartWorker
) -> None:
    stalled = start_stalling("die")
    scene.stall(stalled)
    scene.rescue()
    running = start_worker({BUNDLE_QUEUE})
    first = scene.completed()
    running.stop()  # when it has settled the job
    assert scene.stored() == first
    stalled.send_signal(signal.SIGCONT)
    assert stalled.wait(60) == 9
    data = scene.bucket.get(keys.bundle_object(scene.task_id))
    assert hashlib.sha256(data).hexdigest() != scene.completed().sha256
    scene.service.jobs._dispatcher.send_bundle(
        scene.task_id, ""
    )  # as Dramatiq redelivers its message
    start_worker({BUNDLE_QUEUE})
    wait_for(lambda: scene.completed() != first, "another recorded bundle")
    assert scene.stored().verified


@pytest.mark.parametrize("then", ["continue", "die"])
def test_a_late_upload_of_a_purged_job_is_deleted(
    scene: Scene,
    start_stalling: StartStalling,
    start_worker: StartWorker,
    then: str,
) -> None:
    stalled = start_stalling(then)
    scene.stall(stalled)
    scene.rescue()
    running = start_worker({BUNDLE_QUEUE})
    scene.completed()
    wait_for(
        lambda: scene.service.jobs._records.read_result(scene.task_id), "the result record in S3"
    )
    running.stop()
    sweep = open_sweep(scene.settings)
    with redis.Redis.from_url(scene.settings.redis_url) as client:
        client.delete(ledger_keys.SWEEP)  # the lease of the sweep that rescued the job
    assert sweep.once()
    assert scene.service.jobs.purge(scene.task_id, scene.key)
    bundle = keys.bundle_object(scene.task_id)
    assert [*scene.bucket.list_keys(keys.objects_of(scene.task_id))] == []
    stalled.send_signal(signal.SIGCONT)
    wait_for(lambda: [*scene.bucket.list_keys(bundle)], "the late upload")
    if then == "die":
        assert stalled.wait(60) == 9
        # As Dramatiq redelivers its message.
        scene.service.jobs._dispatcher.send_bundle(scene.task_id, "")
        start_worker({BUNDLE_QUEUE})

    def gone() -> bool:
        sweep.once()
        return not [*scene.bucket.list_keys(keys.objects_of(scene.task_id))]

    wait_for(gone, "the deletion of the late bundle")
    assert scene.service.jobs.status(scene.task_id, scene.key) is None


def test_a_late_upload_of_the_same_bytes_changes_nothing(
    scene: Scene,
    start_stalling: StartStalling,
    start_worker: StartWorker,
    log_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(f"{__name__}.stage_unverified", lambda *_: None)
    stalled = start_stalling("continue")
    scene.stall(stalled)
    scene.rescue()
    start_worker({BUNDLE_QUEUE})
    first = scene.completed()
    assert first.verified
    stalled.send_signal(signal.SIGCONT)
    wait_for(lambda: b"bundle completed" in log_file.read_bytes(), "the late upload")
    assert scene.stored() == first
    assert b"bundle replaced" not in log_file.read_bytes()


@pytest.mark.parametrize("then", ["continue", pytest.param("die", marks=pytest.mark.long)])
def test_a_late_upload_of_a_job_of_one_chunk_is_recorded(
    *,
    scene: Scene,
    start_stalling: StartStalling,
    start_worker: StartWorker,
    then: str,
) -> None:
    """The worker that takes over does not verify, so the bytes of its bundle differ."""
    scene.task_id = submit(scene.service, scene.key, 5)
    stalled = start_stalling(then, EXPRESS_QUEUE)
    wait_for(lambda: stalled.status() == psutil.STATUS_STOPPED, "a stopped worker")
    sweep = open_sweep(scene.settings)
    start_worker({EXPRESS_QUEUE}, settings=msgspec.structs.replace(scene.settings, verify="off"))

    def is_rescued() -> bool:
        sweep.once()
        return status_of(scene.service, scene.task_id, scene.key).state == "completed"

    wait_for(is_rescued, "the rescued job", pause=0.1)
    first = scene.stored()
    assert not first.verified
    stalled.send_signal(signal.SIGCONT)
    if then == "die":
        assert stalled.wait(60) == 9
        # As Dramatiq redelivers its message.
        scene.service.jobs._dispatcher.send_chunks(scene.task_id, [0], "")
    wait_for(lambda: scene.completed() != first, "another recorded bundle")
    assert scene.stored().verified
