"""Jobs of one chunk: the worker that renders the chunk also builds the bundle, from memory.

Such a job needs no staged chunk and no second message. The chunk is recorded as staged in the same
atomic step that completes the job. Before that step, the job is in the state of a job whose chunk
is being rendered, so a redelivered message or the sweep begins it again.

A worker claims the bundle as a bundler does, and announces it before the upload. So at most one
attempt uploads at a time, and :mod:`pipeline.actors.late_uploads` finds what an attempt uploads
after it has lost its claim.

If the bundle cannot be built or uploaded, the chunk is staged as that of any other job. The message
that builds the bundle then has its own retries, and its failure is not that of a chunk.
"""

import structlog

from pipeline.actors.bundle_writer import BundleWriter
from pipeline.actors.completion import Completion
from pipeline.actors.late_uploads import LateUploads
from pipeline.archive.manifest import ManifestRow
from pipeline.archive.member_block import MemberBlock
from pipeline.archive.members import ZipMember
from pipeline.archive.packed_chunk import RowLines
from pipeline.errors import LedgerUnavailableError, NewerVersionError
from pipeline.ledger.entries import ChunkWork
from pipeline.ledger.lease_renewal import release_claim
from pipeline.ledger.ledger import Ledger
from pipeline.model.chunks import ChunkTimes, StagedChunk
from pipeline.model.records import Bundle
from pipeline.monitoring.metrics import StepMetrics
from pipeline.storage.multipart_upload import UploadAbandonedError

log = structlog.get_logger(__name__)

#: Errors that would stop the staging of the chunk as well.
_NOT_OF_THE_BUNDLE = (LedgerUnavailableError, NewerVersionError)


class OneStep:
    """Bundles the only chunk of a job from memory; may be shared between threads.

    Args:
        ledger: the ledger.
        writer: builds and uploads the bundle.
        steps: measures how long that takes.
        completion: follows up the completion of the job.
        late_uploads: records the bundle that S3 has after a late upload.
        lease: milliseconds that a claim lasts. The caller renews the claim with the lease of the
            chunk.
    """

    def __init__(
        self,
        ledger: Ledger,
        writer: BundleWriter,
        steps: StepMetrics,
        *,
        completion: Completion,
        late_uploads: LateUploads,
        lease: int,
    ) -> None:
        self._ledger = ledger
        self._writer = writer
        self._steps = steps
        self._completion = completion
        self._late_uploads = late_uploads
        self._lease = lease

    def upload(
        self,
        work: ChunkWork,
        claimant: str,
        rows: list[ManifestRow] | RowLines,
        members: list[ZipMember] | MemberBlock,
    ) -> Bundle | None:
        """Build and upload the bundle.

        Args:
            work: the chunk.
            claimant: this attempt, unique among all attempts.
            rows: the manifest rows of the chunk.
            members: the files of the chunk.

        Returns:
            The bundle; None if the chunk has to be staged instead.

        Raises:
            UploadAbandonedError: this attempt is not needed any more, or another one has the claim.
            UnavailableError: Redis is unavailable; retry later.
        """
        task_id = work.job.task_id
        try:
            with self._steps.time("bundle", work.job.format):
                return self._writer.write(
                    work.job,
                    [rows],
                    [members],
                    keep_going=lambda: self._claim(task_id, claimant),
                    announce=lambda bundle: self._claim(task_id, claimant, bundle),
                )
        except UploadAbandonedError:
            raise
        except BaseException as error:
            release_claim(self._ledger, task_id, claimant)
            if not isinstance(error, Exception) or isinstance(error, _NOT_OF_THE_BUNDLE):
                raise
            log.warning("bundle left to another message", reason=str(error))
            return None

    def complete(self, work: ChunkWork, claimant: str, bundle: Bundle, times: ChunkTimes) -> None:
        """Complete the job of a bundle that has been uploaded.

        Raises:
            UnavailableError: a backend is unavailable; retry later.
        """
        job = work.job
        # Nothing is staged, so the sizes and digests are those of the bundle.
        staged = StagedChunk(
            sha256=bundle.sha256, bytes=bundle.bytes, rows_sha256="", rows_bytes=0, times=times
        )
        completed = self._ledger.complete_only_chunk(
            job.task_id, claimant, bundle, staged, work.item_count
        )
        result, alone = completed or (None, False)
        self._completion.follow_up(job, bundle, result, staged=not alone)
        if not alone:
            self._late_uploads.settle(job.task_id)

    def settle(self, task_id: str) -> None:
        """Record the late upload of an attempt that may have died after it.

        Raises:
            UnavailableError: a backend is unavailable; retry later.
        """
        self._late_uploads.settle(task_id)

    def _claim(self, task_id: str, claimant: str, bundle: Bundle | None = None) -> bool:
        return self._ledger.claim_only_chunk(task_id, claimant, self._lease, bundle)
