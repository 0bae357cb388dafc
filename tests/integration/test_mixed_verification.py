"""Workers of which one verifies and one does not, as in two releases, stage the same chunk.

Their bytes differ, because the rows of the other release have no field ``verified``. At worst the
chunk is rendered again, and a bundle is called verified only if every row of its manifest is.
"""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from pipeline.actors.chunk_reader import ChunkReader
from pipeline.archive.manifest import CSV_COLUMNS, ManifestRow
from pipeline.archive.member_block import MemberBlock
from pipeline.archive.members import ZipMember
from pipeline.auth.api_key import ApiKey
from pipeline.broker.names import RENDER_QUEUE
from pipeline.ledger.ledger import Ledger
from pipeline.model.chunks import StagedChunk
from pipeline.model.jobs import Item, JobRequest, JobStatus
from pipeline.model.states import TERMINAL
from pipeline.rendering import render_items
from pipeline.service import Service, Settings
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket
from pipeline.storage.staging import make_staging
from tests.encoded import encoded
from tests.integration.conftest import StartWorker
from tests.lanes import key_in_lane
from tests.staged import CHUNK_TIMES
from tests.waiting import wait_for

LEASE = DEADLINE = 60_000
FIRST_COLUMNS = CSV_COLUMNS[: CSV_COLUMNS.index("verified")]
#: A row as 0.2.0 has it.
OldRow = msgspec.defstruct(
    "OldRow",
    [(name, ManifestRow.__annotations__[name]) for name in FIRST_COLUMNS],
)

Layout = pytest.mark.parametrize("layout", ["zip", "object"])


class OldWorker:
    """A worker of 0.2.0, step by step: it has begun the second of three chunks."""

    def __init__(self, service: Service, ledger: Ledger, bucket: Bucket, layout: str) -> None:
        self._records = service.jobs._records
        self._ledger = ledger
        self._staging = make_staging(layout, bucket)

    def begin(self, task_id: str) -> None:
        work = self._ledger.begin_chunk(task_id, 1, LEASE, "m")
        assert work is not None
        self._work = work

    def write(self) -> None:
        work = self._work
        rows, _, files = render_items(
            work, self._records.read_items(work.job.task_id, work.offset, work.length)
        )
        old: Any = [
            OldRow(*(getattr(row, name) for name in OldRow.__struct_fields__)) for row in rows
        ]
        staged = self._staging.stage(work.job.task_id, 1, old, files)
        self._staged = StagedChunk(**msgspec.structs.asdict(staged), times=CHUNK_TIMES)

    def record(self) -> int:
        return self._ledger.stage_chunk(self._work, self._staged, DEADLINE)


@pytest.fixture
def key(service: Service) -> ApiKey:
    return key_in_lane(service.api_keys, 0, name="client", role="client").key


@pytest.fixture
def task_id(service: Service, key: ApiKey) -> str:
    request = JobRequest(
        gtin="09506000134352",
        items=encoded([Item("LOT", f"S{number:04}") for number in range(1, 26)], 10),
        format="png",
        size=120,
        error_correction="M",
        link_base="https://id.gs1.org",
    )
    return service.submission.submit(request, key).task_id


def state_of(service: Service, task_id: str, key: ApiKey) -> JobStatus:
    found = service.jobs.status(task_id, key)
    assert found is not None
    return found


def completed(service: Service, bucket: Bucket, task_id: str, key: ApiKey) -> list[bool]:
    """Wait for the bundle, check that it is whole, and return which of its rows are verified."""
    wait_for(lambda: state_of(service, task_id, key).state in TERMINAL, "the job's end")
    status = state_of(service, task_id, key)
    assert (status.state, status.error, status.processed_items) == ("completed", None, 25)
    with zipfile.ZipFile(io.BytesIO(bucket.get(keys.bundle_object(task_id)))) as bundle:
        rows = json.loads(bundle.read("manifest.json"))
        assert bundle.namelist()[2:] == [row["file"] for row in rows]
    assert [row["index"] for row in rows] == [*range(1, 26)]
    verified = [row["verified"] for row in rows]
    assert status.bundle is not None
    assert status.bundle.verified == all(verified)
    return verified


@Layout
@pytest.mark.parametrize(
    ("late", "verified"),
    [
        # The old worker wrote and recorded last: its rows are in the bundle.
        ([OldWorker.write, OldWorker.record], False),
        # It wrote last and died: the bytes are not those of the record, so it is rendered again.
        ([OldWorker.write], True),
    ],
    ids=["recorded", "died"],
)
def test_an_old_worker_stages_a_chunk_late(
    *,
    layout: str,
    late: list[Callable[[OldWorker], object]],
    verified: bool,
    service: Service,
    settings: Settings,
    key: ApiKey,
    task_id: str,
    ledger: Ledger,
    bucket: Bucket,
    staging_bucket: Bucket,
    start_worker: StartWorker,
) -> None:
    new_release = msgspec.structs.replace(settings, staging=layout)
    old = OldWorker(service, ledger, staging_bucket, layout)
    old.begin(task_id)
    renders = start_worker({RENDER_QUEUE}, new_release)
    wait_for(lambda: state_of(service, task_id, key).staged == 3, "three staged chunks")
    for step in late:
        step(old)
    renders.stop()
    start_worker(settings=new_release)
    expected = [True] * 10 + [verified] * 10 + [True] * 5
    assert completed(service, bucket, task_id, key) == expected


@Layout
def test_a_new_worker_writes_between_the_steps_of_an_old_one(
    *,
    layout: str,
    service: Service,
    settings: Settings,
    key: ApiKey,
    task_id: str,
    ledger: Ledger,
    bucket: Bucket,
    staging_bucket: Bucket,
    start_worker: StartWorker,
) -> None:
    """The ledger has the old digest, S3 the new bytes: the chunk is rendered again."""
    new_release = msgspec.structs.replace(settings, staging=layout)
    old = OldWorker(service, ledger, staging_bucket, layout)
    old.begin(task_id)
    old.write()
    renders = start_worker({RENDER_QUEUE}, new_release)
    wait_for(lambda: state_of(service, task_id, key).staged == 3, "three staged chunks")
    old.record()
    renders.stop()
    start_worker(settings=new_release)
    assert completed(service, bucket, task_id, key) == [True] * 25


@Layout
def test_an_old_worker_writes_while_the_bundle_is_built(
    *,
    layout: str,
    service: Service,
    settings: Settings,
    key: ApiKey,
    task_id: str,
    ledger: Ledger,
    bucket: Bucket,
    staging_bucket: Bucket,
    start_worker: StartWorker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the rows and the images of a job that is too large to stay in memory."""
    old = OldWorker(service, ledger, staging_bucket, layout)
    old.begin(task_id)
    monkeypatch.setattr("pipeline.actors.chunk_reader._KEPT_BYTES", 0)
    members = ChunkReader.members
    written: list[str] = []

    def late(reader: ChunkReader) -> Iterator[list[ZipMember] | MemberBlock]:
        if not written:
            old.write()
            old.record()
            written.append(task_id)
        return members(reader)

    monkeypatch.setattr(ChunkReader, "members", late)
    start_worker(settings=msgspec.structs.replace(settings, staging=layout))
    verified = completed(service, bucket, task_id, key)
    assert written
    assert verified in ([True] * 25, [True] * 10 + [False] * 10 + [True] * 5)


@Layout
def test_rows_of_an_old_release_are_unverified_in_a_bundle_of_the_new_one(
    *,
    layout: str,
    service: Service,
    settings: Settings,
    key: ApiKey,
    task_id: str,
    ledger: Ledger,
    bucket: Bucket,
    staging_bucket: Bucket,
    start_worker: StartWorker,
) -> None:
    old = OldWorker(service, ledger, staging_bucket, layout)
    old.begin(task_id)
    old.write()
    assert old.record() == 2
    start_worker(settings=msgspec.structs.replace(settings, staging=layout))
    assert completed(service, bucket, task_id, key) == [True] * 10 + [False] * 10 + [True] * 5
