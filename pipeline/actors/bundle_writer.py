"""Writer of bundles: streams manifest and images into a ZIP and uploads it."""

import time
from collections.abc import Callable, Iterable, Iterator

import msgspec

from pipeline.archive.bundle import stream_archive
from pipeline.archive.manifest import ManifestRow
from pipeline.archive.member_block import MemberBlock
from pipeline.archive.members import ZipMember
from pipeline.archive.packed_chunk import RowLines
from pipeline.model.records import Bundle, BundleTimes, JobFields
from pipeline.monitoring.stopwatch import Stopwatch
from pipeline.storage.multipart_upload import Upload, Uploaded
from pipeline.storage.records import JobRecords


class BundleWriter:
    """Builds and uploads bundles; may be shared between threads.

    Args:
        records: store of the bundles.
        part_bytes: size of an upload part in bytes.
        job_ttl: seconds that a bundle is kept.
    """

    def __init__(self, records: JobRecords, *, part_bytes: int, job_ttl: int) -> None:
        self._records = records
        self._part_bytes = part_bytes
        self._job_ttl = job_ttl

    def write(
        self,
        job: JobFields,
        chunks: Iterable[list[ManifestRow] | RowLines],
        members: Iterable[list[ZipMember] | MemberBlock],
        *,
        keep_going: Callable[[], bool],
        announce: Callable[[Bundle], bool],
    ) -> Bundle:
        """Build and upload the bundle of a job.

        Args:
            job: the job.
            chunks: the manifest rows of each chunk; consumed before any image.
            members: the images of each chunk.
            keep_going: called before each part of a bundle of several parts; returns False to
                abandon the upload.
            announce: called with the bundle before the request that makes it visible in S3;
                returns False to abandon the upload.

        Raises:
            UploadAbandonedError: ``keep_going`` or ``announce`` returned False.
            StoreUnavailableError: S3 is unavailable; retry later.
        """
        reading, packing = Stopwatch(), Stopwatch()
        rows = _WatchedRows(reading.waiting_for(chunks))
        images = reading.waiting_for(members)
        archive = stream_archive(job.accepted_at, rows, images, self._warnings(job), job.layout)

        def bundle_of(uploaded: Uploaded) -> Bundle:
            return Bundle(
                bytes=uploaded.bytes,
                sha256=uploaded.sha256,
                expires_at=int(time.time()) + self._job_ttl,
                times=_times(reading, packing),
                verified=rows.verified,
            )

        upload = Upload(
            packing.waiting_for(archive),
            self._part_bytes,
            keep_going,
            confirm=lambda uploaded: announce(bundle_of(uploaded)),
        )
        return bundle_of(self._records.upload_bundle(job.task_id, upload))

    def _warnings(self, job: JobFields) -> bytes | None:
        """Return the content of ``warnings.json``; None if the request has no warnings."""
        if not job.warnings_total:
            return None
        _, _, tail = self._records.read_request(job.task_id)
        return msgspec.json.encode({"total": tail.warnings_total, "warnings": tail.warnings})


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

    def __init__(self, chunks: Iterable[list[ManifestRow] | RowLines]) -> None:
        self._chunks = chunks
        self.verified = True

    def __iter__(self) -> Iterator[list[ManifestRow] | RowLines]:
        for rows in self._chunks:
            self.verified = self.verified and _are_verified(rows)
            yield rows


def _are_verified(rows: list[ManifestRow] | RowLines) -> bool:
    return rows.verified if isinstance(rows, RowLines) else all(row.verified for row in rows)
