"""Bundler: claims a job, and builds its bundle from the staged chunks."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager

import structlog

from pipeline.actors.bundle_writer import BundleWriter
from pipeline.actors.chunk_reader import READ_AHEAD, ChunkReader, DamagedChunkError
from pipeline.actors.completion import Completion
from pipeline.actors.late_uploads import LateUploads
from pipeline.ledger.lease_renewal import release_claim, renewing
from pipeline.ledger.ledger import Ledger
from pipeline.model.records import Bundle, JobFields
from pipeline.monitoring.logs import bind_job_context
from pipeline.monitoring.metrics import StepMetrics
from pipeline.storage.multipart_upload import UploadAbandonedError
from pipeline.storage.staging import Staging

log = structlog.get_logger(__name__)

#: Milliseconds that building a bundle may take; slightly more than the largest bundle needs.
BUNDLE_TIME_LIMIT = 60 * 60_000


class Bundler:
    """Builds bundles; may be shared between threads.

    Args:
        ledger, staging: stores of the jobs and the staged chunks.
        writer: builds and uploads a bundle.
        steps: measures how long that takes.
        completion: follows up the completion of a job.
        late_uploads: records the bundle that S3 has after a late upload.
        lease: milliseconds that a claim lasts. The claim is renewed as long as the bundle is being
            built, and checked before each upload part.
        deadline: milliseconds that a job gets when a requeued bundle message reopens it.
    """

    def __init__(
        self,
        ledger: Ledger,
        staging: Staging,
        writer: BundleWriter,
        steps: StepMetrics,
        *,
        completion: Completion,
        late_uploads: LateUploads,
        lease: int,
        deadline: int,
    ) -> None:
        self._ledger = ledger
        self._staging = staging
        self._writer = writer
        self._steps = steps
        self._completion = completion
        self._late_uploads = late_uploads
        self._lease = lease
        self._deadline = deadline

    def run(self, task_id: str, message_id: str) -> int | None:
        """Build the bundle if every chunk is staged and no other worker is building it.

        Returns:
            The index of a chunk that must be rendered again, because its staged objects differ
            from the ledger's record. Otherwise None.

        Raises:
            UnavailableError: a backend is unavailable; retry later.
        """
        claimant = uuid.uuid4().hex
        job = self._ledger.claim_bundle(task_id, claimant, self._lease, self._deadline, message_id)
        if job is None:
            log.info(
                "bundle skipped",
                reason="chunks are missing, or the bundle is built, being built or has failed",
            )
            # A bundler that has lost its claim may have stalled or died after its upload.
            self._late_uploads.settle(task_id)
            return None
        bind_job_context(job)
        try:
            with self._steps.time("bundle", job.format), self._renewing(task_id, claimant):
                bundle = self._build(job, claimant)
        except UploadAbandonedError:
            self._log_lost_claim()
            return None
        except DamagedChunkError as damaged:
            if not self._ledger.unstage_chunk(job, damaged.chunk_index, claimant):
                self._log_lost_claim()
                return None
            release_claim(self._ledger, task_id, claimant)
            log.warning("chunk damaged", chunk=damaged.chunk_index, reason=str(damaged))
            return damaged.chunk_index
        except BaseException:
            release_claim(self._ledger, task_id, claimant)
            raise
        result = self._ledger.complete_job(task_id, claimant, bundle)
        self._completion.follow_up(job, bundle, result)
        self._late_uploads.settle(task_id)
        return None

    def _renewing(self, task_id: str, claimant: str) -> AbstractContextManager[object]:
        return renewing(
            lambda: self._ledger.renew_claim(task_id, claimant, self._lease),
            lease=self._lease,
            limit=BUNDLE_TIME_LIMIT,
        )

    def _log_lost_claim(self) -> None:
        log.warning("bundle lease lost", reason="another worker took the claim, or the job ended")

    def _build(self, job: JobFields, claimant: str) -> Bundle:
        task_id, staged = job.task_id, self._ledger.staged_chunks(job.task_id)
        with ThreadPoolExecutor(READ_AHEAD, "read-ahead") as pool:
            chunks = ChunkReader(self._staging, task_id, staged, pool)
            return self._writer.write(
                job,
                chunks.rows(),
                chunks.members(),
                keep_going=lambda: self._ledger.renew_claim(task_id, claimant, self._lease),
                announce=lambda bundle: self._ledger.announce_upload(
                    task_id, claimant, self._lease, bundle
                ),
            )
