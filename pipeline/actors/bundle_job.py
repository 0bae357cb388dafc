"""Bundler: claims a job, streams its staged chunks into a ZIP and uploads the ZIP."""

import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress

import msgspec
import structlog

from pipeline.actors.chunk_reader import READ_AHEAD, ChunkReader, DamagedChunkError
from pipeline.actors.late_uploads import LateUploads
from pipeline.archive.bundle import stream_archive
from pipeline.archive.manifest import ManifestRow
from pipeline.errors import LedgerUnavailableError
from pipeline.ledger.lease_renewal import renewing
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.results import ResultRecorder
from pipeline.model.records import Bundle, BundleTimes, JobFields
from pipeline.monitoring.logs import bind_job_context
from pipeline.monitoring.metrics import StepMetrics
from pipeline.monitoring.stopwatch import Stopwatch
from pipeline.storage.multipart_upload import Upload, UploadAbandonedError, Uploaded
from pipeline.storage.records import JobRecords
from pipeline.storage.staging import Staging
from pipeline.webhooks.schedule import Callbacks

log = structlog.get_logger(__name__)

#: Milliseconds that building a bundle may take; slightly more than the largest bundle needs.
BUNDLE_TIME_LIMIT = 60 * 60_000


class Bundler:
    """Builds bundles; may be shared between threads.

    Args:
        ledger, records, staging: stores of the jobs, the bundles and the staged chunks.
        steps: measures how long building takes.
        results: writes the result record to S3.
        late_uploads: records the bundle that S3 has after a late upload.
        callbacks: enqueues the job's webhook, if it has one.
        lease: milliseconds that a claim lasts. The claim is renewed as long as the bundle is being
            built, and checked before each upload part.
        deadline: milliseconds that a job gets when a requeued bundle message reopens it.
        part_bytes: size of an upload part in bytes.
        job_ttl: seconds that the bundle is kept.
    """

    def __init__(
        self,
        ledger: Ledger,
        records: JobRecords,
        staging: Staging,
        steps: StepMetrics,
        *,
        results: ResultRecorder,
        late_uploads: LateUploads,
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
        self._late_uploads = late_uploads
        self._callbacks = callbacks
        self._lease = lease
        self._deadline = deadline
        self._part_bytes = part_bytes
        self._job_ttl = job_ttl

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
            self._release_claim(task_id, claimant)
            log.warning("chunk damaged", chunk=damaged.chunk_index, reason=str(damaged))
            return damaged.chunk_index
        except BaseException:
            self._release_claim(task_id, claimant)
            raise
        self._complete(job, claimant, bundle)
        self._late_uploads.settle(task_id)
        return None

    def _complete(self, job: JobFields, claimant: str, bundle: Bundle) -> None:
        """Record the result in the ledger and in S3, and enqueue the webhook.

        If the job cannot be completed any more, nothing is deleted. If it was cancelled meanwhile,
        the uploaded bundle stays until the job is deleted, because a late deletion could hit the
        identical bundle of a re-run. In any other state, another worker has taken the claim, reads
        the staged chunks, and may have completed the job already.
        """
        result = self._ledger.complete_job(job.task_id, claimant, bundle)
        state = result.state if result else self._ledger.states([job.task_id])[0]
        times = msgspec.structs.asdict(bundle.times)
        log.info("bundle completed", state=state, bytes=bundle.bytes, items=job.items, **times)
        if result is None:
            return
        try:
            self._results.write_or_leave(job.task_id, result)
        finally:
            if job.callback_url:
                self._callbacks.enqueue(job.task_id)

    def _renewing(self, task_id: str, claimant: str) -> AbstractContextManager[object]:
        return renewing(
            lambda: self._ledger.renew_claim(task_id, claimant, self._lease),
            lease=self._lease,
            limit=BUNDLE_TIME_LIMIT,
        )

    def _log_lost_claim(self) -> None:
        log.warning("bundle lease lost", reason="another worker took the claim, or the job ended")

    def _release_claim(self, task_id: str, claimant: str) -> None:
        # An error of this release is ignored: the claim expires by itself, and the original error
        # matters more.
        with suppress(LedgerUnavailableError):
            self._ledger.renew_claim(task_id, claimant, 0)

    def _warnings(self, job: JobFields) -> bytes | None:
        """Return the content of ``warnings.json``; None if the request has no warnings."""
        if not job.warnings_total:
            return None
        _, _, tail = self._records.read_request(job.task_id)
        return msgspec.json.encode({"total": tail.warnings_total, "warnings": tail.warnings})

    def _build(self, job: JobFields, claimant: str) -> Bundle:
        reading, packing = Stopwatch(), Stopwatch()
        staged = self._ledger.staged_chunks(job.task_id)
        with ThreadPoolExecutor(READ_AHEAD, "read-ahead") as pool:
            chunks = ChunkReader(self._staging, job.task_id, staged, pool)
            rows = _WatchedRows(reading.waiting_for(chunks.rows()))
            members = reading.waiting_for(chunks.members())

            def bundle_of(uploaded: Uploaded) -> Bundle:
                return Bundle(
                    bytes=uploaded.bytes,
                    sha256=uploaded.sha256,
                    expires_at=int(time.time()) + self._job_ttl,
                    times=_times(reading, packing),
                    verified=rows.verified,
                )

            uploaded = self._records.upload_bundle(
                job.task_id,
                Upload(
                    packing.waiting_for(
                        stream_archive(
                            job.accepted_at, rows, members, self._warnings(job), job.layout
                        )
                    ),
                    self._part_bytes,
                    lambda: self._ledger.renew_claim(job.task_id, claimant, self._lease),
                    confirm=lambda uploaded: self._ledger.announce_upload(
                        job.task_id, claimant, self._lease, bundle_of(uploaded)
                    ),
                ),
            )
        return bundle_of(uploaded)


def _times(reading: Stopwatch, packing: Stopwatch) -> BundleTimes:
    """Return the timings of a bundle.

    Args:
        reading: measured the wait for staged chunks.
        packing: measured the wait for pieces of the archive, which includes that for chunks.
    """
    return BundleTimes(
        begun_at=reading.begun_at,
        read_ms=reading.waited,
        zip_ms=round(packing.waited - reading.waited, 1),
        upload_ms=round(packing.elapsed - packing.waited, 1),
    )


class _WatchedRows:
    """The manifest rows of a job's chunks; ``verified`` is whether all rows yielded so far are."""

    def __init__(self, chunks: Iterable[list[ManifestRow]]) -> None:
        self._chunks = chunks
        self.verified = True

    def __iter__(self) -> Iterator[list[ManifestRow]]:
        for rows in self._chunks:
            self.verified = self.verified and all(row.verified for row in rows)
            yield rows
