"""The bundling of a job: claim it, stream its staged chunks into a ZIP, upload, record, tidy."""

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import msgspec
import structlog

from pipeline.actors.chunk_reader import READ_AHEAD, ChunkReader, DamagedChunkError
from pipeline.archive.bundle import stream_archive
from pipeline.errors import LedgerUnavailableError, StoreUnavailableError
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.results import ResultRecorder
from pipeline.model.records import Bundle, BundleTimes, JobFields, Result
from pipeline.monitoring.logs import bind_job_context
from pipeline.monitoring.metrics import StepMetrics
from pipeline.monitoring.stopwatch import Stopwatch
from pipeline.storage.multipart_upload import Upload, UploadAbandonedError
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import Staging
from pipeline.webhooks.schedule import Callbacks

log = structlog.get_logger(__name__)

#: Milliseconds that a bundling may take; a little over what one takes at its largest.
BUNDLE_TIME_LIMIT = 60 * 60_000


class Bundler:
    """Builds bundles; may be shared between threads.

    Args:
        ledger, records, staging: where jobs, bundles and staged chunks are.
        steps: times the building.
        results: records the end in S3.
        callbacks: enqueues the job's, if it has one.
        lease: milliseconds a claim lasts unless renewed; it is renewed before every part.
        deadline: milliseconds that a job gets when a bundling put back by hand opens it again.
        part_bytes: size of an upload's parts.
        job_ttl: seconds the bundle is kept.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: JobRecords,
        staging: Staging,
        steps: StepMetrics,
        *,
        results: ResultRecorder,
        callbacks: Callbacks,
        lease: int,
        deadline: int,
        part_bytes: int,
        job_ttl: int,
    ) -> None:
        self._ledger = ledger
        self._records = records
        self._staging = staging
        self._steps = steps
        self._results = results
        self._callbacks = callbacks
        self._lease = lease
        self._deadline = deadline
        self._part_bytes = part_bytes
        self._job_ttl = job_ttl

    def run(self, task_id: str, message_id: str) -> int | None:
        """Build the bundle if every chunk is staged and nobody else is building it.

        Returns:
            A chunk that has to be rendered again, because what is staged is not what the ledger
            recorded; else None.

        Raises:
            UnavailableError: try again later.
        """
        claimant = uuid.uuid4().hex
        job = self._ledger.claim_bundle(task_id, claimant, self._lease, self._deadline, message_id)
        if job is None:
            log.info(
                "bundle skipped",
                reason="chunks are missing, or it is built, being built or has failed",
            )
            return None
        bind_job_context(job)
        try:
            with self._steps.time("bundle", job.format):
                bundle = self._build(job, claimant)
        except UploadAbandonedError:
            self._tell_abandoned()
            return None
        except DamagedChunkError as damaged:
            if not self._ledger.unstage_chunk(job, damaged.chunk_index, claimant):
                self._tell_abandoned()
                return None
            self._give_back(task_id, claimant)
            log.warning("chunk damaged", chunk=damaged.chunk_index, reason=str(damaged))
            return damaged.chunk_index
        except BaseException:
            self._give_back(task_id, claimant)
            raise
        self._complete(job, claimant, bundle)
        return None

    def _complete(self, job: JobFields, claimant: str, bundle: Bundle) -> None:
        """Record the end.

        Of a job that was cancelled meanwhile the bundle stays, until the job is removed: a removal
        that takes long would take the same bytes of a re-run away. In any other state another has
        taken the claim, and reads what is staged.
        """
        result = self._ledger.complete_job(job.task_id, claimant, bundle)
        state = result.state if result else self._ledger.states([job.task_id])[0]
        times = msgspec.structs.asdict(bundle.times)
        log.info("bundle completed", state=state, bytes=bundle.bytes, items=job.items, **times)
        if result is None:
            return
        try:
            self._record_end(job.task_id, result)
        finally:
            if job.callback_url:
                self._callbacks.enqueue(job.task_id)

    def _record_end(self, task_id: str, result: Result) -> None:
        try:
            self._results.write(task_id, result)
        except StoreUnavailableError as error:
            log.warning("result not recorded", reason=str(error))

    def _tell_abandoned(self) -> None:
        log.warning("bundle lease lost", reason="the claim was lost")

    def _give_back(self, task_id: str, claimant: str) -> None:
        # The error that led here is the one to be told, and a claim runs out by itself.
        with suppress(LedgerUnavailableError):
            self._ledger.renew_claim(task_id, claimant, 0)

    def _build(self, job: JobFields, claimant: str) -> Bundle:
        reading, packing = Stopwatch(), Stopwatch()
        staged = self._ledger.staged_chunks(job.task_id)
        with ThreadPoolExecutor(READ_AHEAD, "read-ahead") as pool:
            chunks = ChunkReader(self._staging, job.task_id, staged, pool)
            rows, members = (
                reading.waiting_for(chunks.rows()),
                reading.waiting_for(chunks.members()),
            )
            uploaded = self._records.upload_bundle(
                job.task_id,
                Upload(
                    packing.waiting_for(stream_archive(job.accepted_at, rows, members)),
                    self._part_bytes,
                    lambda: self._ledger.renew_claim(job.task_id, claimant, self._lease),
                ),
            )
        expires_at = int(time.time()) + self._job_ttl
        times = BundleTimes(
            begun_at=reading.begun_at,
            read_ms=reading.waited,
            zip_ms=round(packing.waited - reading.waited, 1),
            upload_ms=round(packing.lap() - packing.waited, 1),
        )
        return Bundle(
            bytes=uploaded.bytes, sha256=uploaded.sha256, expires_at=expires_at, times=times
        )
