"""Bundles that reach S3 after their bundler has lost its claim on the job.

A bundler renews its claim until just before it completes its upload. If it stalls then, another
bundler takes the claim and completes the job, and the first upload may still replace its bundle in
S3. The bytes may differ: those of another release do, and those of a chunk that was staged again by
a worker with another ``QRMILL_VERIFY``.

Every bundler announces its bundle to the ledger before it completes the upload, and settles the job
afterwards. The bundler that completes the job settles it too, because an upload without a claim may
have replaced its bundle before that. A retried or redelivered message settles the job in place of a
bundler that died.

Settling reads the bundle in S3, because the order of two requests does not decide which of their
objects S3 keeps. The ledger replaces the recorded bundle only if it is still the one that was
compared: if two bundlers are late, the second one settles what S3 has after its own upload.
"""

import msgspec
import structlog

from pipeline.errors import StoreUnavailableError
from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.results import ResultRecorder
from pipeline.model.records import Bundle
from pipeline.storage.records import JobRecords

log = structlog.get_logger(__name__)


class LateUploads:
    """Makes the recorded bundle of a completed job agree with the one in S3.

    Args:
        ledger, records: stores of the jobs and the bundles.
        results: writes the result record to S3.
    """

    def __init__(self, ledger: Ledger, records: JobRecords, results: ResultRecorder) -> None:
        self._ledger = ledger
        self._records = records
        self._results = results

    def settle(self, task_id: str) -> None:
        """Record the bundle that is in S3, if another bundler may have replaced the recorded one.

        For most jobs, this costs one command to Redis.

        Raises:
            UnavailableError: a backend is unavailable; retry later.
        """
        while announced := self._ledger.announced_bundles(task_id):
            if self._is_settled(task_id, announced):
                return

    def _is_settled(self, task_id: str, announced: list[Bundle]) -> bool:
        """Compare the recorded bundle with S3; return False if another process replaced it."""
        status = self._ledger.status(task_id)
        recorded = status.bundle if status else None
        found = self._records.read_bundle_digest(task_id) if recorded else None
        if recorded is None or found is None or found.sha256 == recorded.sha256:
            return True
        # A bundler of release 0.2.0 announces nothing, so its rows may be unverified.
        known = {bundle.sha256: bundle.verified for bundle in announced}
        bundle = msgspec.structs.replace(
            recorded,
            bytes=found.bytes,
            sha256=found.sha256,
            verified=known.get(found.sha256, False),
        )
        result = self._ledger.replace_bundle(task_id, recorded.sha256, bundle)
        if result is None:
            return False
        log.warning("bundle replaced", reason="a late upload has replaced it", bytes=bundle.bytes)
        try:
            self._results.write(task_id, result)
        except StoreUnavailableError as error:
            log.warning("result not recorded", reason=str(error))
        return True
