"""What follows the upload of a bundle: the result record in S3, and the job's webhook."""

import msgspec
import structlog

from pipeline.ledger.ledger import Ledger
from pipeline.maintenance.results import ResultRecorder
from pipeline.model.records import Bundle, JobFields, Result
from pipeline.webhooks.schedule import Callbacks

log = structlog.get_logger(__name__)


class Completion:
    """Follows up the completion of jobs; may be shared between threads.

    Args:
        ledger: the ledger, in which the jobs are completed already.
        results: writes the result record to S3.
        callbacks: enqueues the job's webhook, if it has one.
    """

    def __init__(self, ledger: Ledger, results: ResultRecorder, callbacks: Callbacks) -> None:
        self._ledger = ledger
        self._results = results
        self._callbacks = callbacks

    def follow_up(
        self, job: JobFields, bundle: Bundle, result: Result | None, *, staged: bool = True
    ) -> None:
        """Write the result record, and enqueue the webhook.

        If the job could not be completed any more, nothing is deleted. If it was cancelled
        meanwhile, the uploaded bundle stays until the job is deleted, because a late deletion could
        hit the identical bundle of a re-run. In any other state, another worker has taken the
        claim, reads the staged chunks, and may have completed the job already.

        Args:
            job: the job.
            bundle: the uploaded bundle.
            result: the result; None if the job could not be completed any more.
            staged: whether the job may have staged chunks.
        """
        state = result.state if result else self._ledger.states([job.task_id])[0]
        times = msgspec.structs.asdict(bundle.times)
        log.info("bundle completed", state=state, bytes=bundle.bytes, items=job.items, **times)
        if result is None:
            return
        try:
            self._results.write_or_leave(job.task_id, result, staged=staged)
        finally:
            if job.callback_url:
                self._callbacks.enqueue(job.task_id)
