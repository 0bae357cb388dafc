"""Renderer of one chunk: reads its items, renders and verifies all of them, stages the images.

The only chunk of a job is not staged, but bundled at once (:mod:`pipeline.actors.one_step`).
"""

import uuid
from contextlib import AbstractContextManager
from typing import NamedTuple

import msgspec
import structlog

from pipeline.actors.one_step import OneStep
from pipeline.archive.chunk_files import make_members
from pipeline.archive.manifest import ManifestRow
from pipeline.archive.packed_chunk import PackedChunk, pack_chunk
from pipeline.errors import UnverifiedError
from pipeline.ledger.entries import OF_NO_USE, ChunkWork
from pipeline.ledger.lease_renewal import renewing
from pipeline.ledger.ledger import Ledger
from pipeline.model.chunks import ChunkTimes, StagedChunk
from pipeline.model.failure_reasons import crashed_each_time
from pipeline.model.jobs import Item
from pipeline.model.records import Bundle, JobFields
from pipeline.model.request_object import decode_items
from pipeline.monitoring.logs import bind_job_context
from pipeline.monitoring.metrics import StepMetrics, VerificationMetrics
from pipeline.monitoring.stopwatch import Stopwatch
from pipeline.rendering import RenderedChunk, render_items
from pipeline.storage.multipart_upload import UploadAbandonedError
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import Staging
from pipeline.verification.verify import Verify

log = structlog.get_logger(__name__)

#: Milliseconds that a chunk may take; slightly more than the largest chunk needs.
RENDER_TIME_LIMIT = 10 * 60_000
_LOST = "another worker has the chunk or the claim, or the job ended"


class _Rendered(NamedTuple):
    """A rendered chunk.

    Attributes:
        rows: its manifest rows.
        files: the files that the rows name.
        packed: both as the bundle has them; None if the files are pages of a document.
        times: how long it took.
    """

    rows: list[ManifestRow]
    files: list[bytes]
    packed: PackedChunk | None
    times: ChunkTimes


class ChunkRenderer:
    """Renders and stages one chunk at a time; may be shared between threads.

    Args:
        ledger, records, staging: stores of the jobs, the requests and the staged chunks.
        steps: measures how long rendering, verification and staging take.
        one_step: bundles the only chunk of a job; None to stage that chunk too.
        verify: verifies the symbols of a chunk; None to stage them unverified.
        symbols: counts verified and unverified symbols.
        lease: milliseconds after which an attempt counts as dead unless the lease is renewed. The
            lease is renewed as long as the attempt is in progress.
        deadline: milliseconds that a job gets when a requeued chunk reopens it.
        max_attempts: number of crashed attempts after which a chunk fails. Dramatiq does not count
            an attempt whose worker crashes. Without this limit, a chunk that crashes every worker
            would be delivered again and again.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: JobRecords,
        staging: Staging,
        steps: StepMetrics,
        *,
        one_step: OneStep | None,
        verify: Verify | None,
        symbols: VerificationMetrics,
        lease: int,
        deadline: int,
        max_attempts: int,
    ) -> None:
        self._ledger = ledger
        self._records = records
        self._staging = staging
        self._steps = steps
        self._one_step = one_step
        self._verify = verify
        self._symbols = symbols
        self._lease = lease
        self._deadline = deadline
        self._max_attempts = max_attempts

    def run(self, task_id: str, chunk_index: int, message_id: str) -> bool:
        """Render and stage a chunk, unless that has already been done.

        Returns:
            True if this was the last chunk that the job waited for, so that its bundle can be
            built.

        Raises:
            UnavailableError: a backend is unavailable; retry later.
            ObjectMissingError: the request object is missing.
            UnverifiedError: a symbol differs from its item, and nothing was staged.
        """
        watch = Stopwatch()
        work = self._ledger.begin_chunk(task_id, chunk_index, self._lease, message_id)
        if work is None:
            self._skip(task_id)
            return False
        bind_job_context(work.job)
        if work.attempt > self._max_attempts:
            self._give_up(work)
            return False
        claimant = uuid.uuid4().hex
        with self._renewing(work, claimant):
            chunk = self._render(work, watch)
            try:
                bundle = self._upload(work, claimant, chunk)
            except UploadAbandonedError:
                log.warning("bundle lease lost", reason=_LOST)
                return False
            staged = None if bundle else self._stage(work, chunk)
        if staged:
            return self._count(work, staged)
        if self._one_step and bundle:
            self._one_step.complete(work, claimant, bundle, chunk.times)
        return False

    def _skip(self, task_id: str) -> None:
        log.info(
            "chunk skipped",
            reason="it is already staged, it failed permanently, or its job has ended",
        )
        if self._one_step:  # the message may be that of an attempt that died after its upload
            self._one_step.settle(task_id)

    def _renewing(self, work: ChunkWork, claimant: str) -> AbstractContextManager[object]:
        task_id, index = work.job.task_id, work.chunk_index
        return renewing(
            lambda: self._ledger.renew_chunk(task_id, index, self._lease, claimant),
            lease=self._lease,
            limit=RENDER_TIME_LIMIT,
        )

    def _render(self, work: ChunkWork, watch: Stopwatch) -> _Rendered:
        items = self._read_items(work)
        read = watch.lap()
        with self._steps.time("render", work.job.format):
            chunk = render_items(work, items)
        rendered = watch.lap()
        rows = self._verified(work.job, chunk)
        times = ChunkTimes(
            begun_at=watch.begun_at,
            read_ms=read,
            render_ms=rendered,
            verify_ms=watch.lap(),
            stage_ms=0.0,
        )
        return _Rendered(rows, chunk.files, pack_chunk(work.job, rows, chunk.files), times)

    def _read_items(self, work: ChunkWork) -> list[Item]:
        if work.items:
            return decode_items(work.items)
        return self._records.read_items(work.job.task_id, work.offset, work.length)

    def _upload(self, work: ChunkWork, claimant: str, chunk: _Rendered) -> Bundle | None:
        """Upload the bundle of a job of one chunk; return None if the chunk has to be staged."""
        if self._one_step is None or work.job.chunks > 1 or work.reopens:
            return None
        times = msgspec.structs.asdict(chunk.times)
        del times["stage_ms"]
        log.info(
            "chunk rendered",
            items=work.item_count,
            attempt=work.attempt,
            **times,
        )
        rows, members = chunk.packed or (chunk.rows, make_members(chunk.rows, chunk.files))
        return self._one_step.upload(work, claimant, rows, members)

    def _stage(self, work: ChunkWork, chunk: _Rendered) -> StagedChunk:
        watch = Stopwatch()
        with self._steps.time("stage", work.job.format):
            staged = self._staging.stage(
                work.job.task_id, work.chunk_index, chunk.rows, chunk.files, chunk.packed
            )
        times = msgspec.structs.replace(chunk.times, stage_ms=watch.lap())
        return StagedChunk(**msgspec.structs.asdict(staged), times=times)

    def _count(self, work: ChunkWork, staged: StagedChunk) -> bool:
        """Record a staged chunk; return whether it was the last one that the job waited for."""
        remaining = self._ledger.stage_chunk(work, staged, self._deadline)
        times = msgspec.structs.asdict(staged.times)
        log.info(
            "chunk staged", items=work.item_count, bytes=staged.bytes, attempt=work.attempt, **times
        )
        if remaining == OF_NO_USE:
            self._staging.drop(work.job.task_id)
        return remaining == 0

    def _verified(self, job: JobFields, chunk: RenderedChunk) -> list[ManifestRow]:
        """Return the rows as verified, or unchanged if verification is off."""
        if self._verify is None:
            return chunk.rows
        try:
            with self._steps.time("verify", job.format):
                self._verify(job, *chunk)
        except UnverifiedError as error:
            self._symbols.count_unverified(job.format, error.count)
            log.error("symbols unverified", reason=str(error))  # noqa: TRY400 - the worker logs the traceback
            raise
        self._symbols.count_verified(job.format, len(chunk.rows))
        return [msgspec.structs.replace(row, verified=True) for row in chunk.rows]

    def _give_up(self, work: ChunkWork) -> None:
        failure = crashed_each_time(work.chunk_index, self._max_attempts)
        self._ledger.fail_job(work.job.task_id, failure, work.chunk_index)
        log.error("chunk attempts exhausted", attempts=self._max_attempts)
