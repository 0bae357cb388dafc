"""Body of a webhook: the event that a job has ended."""

from datetime import UTC, datetime
from typing import Literal

import msgspec

from pipeline.model.records import JobFields, Result


class CallbackData(msgspec.Struct, frozen=True, kw_only=True):
    """The job that has ended, with the same values as in the response to a poll."""

    task_id: str
    status: Literal["completed", "failed"]
    items: int
    error: str | None
    error_code: str | None
    poll_url: str


class CallbackEvent(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a webhook: reports that a job has ended, and when."""

    type: Literal["bulk.completed", "bulk.failed"]
    timestamp: str
    data: CallbackData


def make_event(job: JobFields, result: Result, poll_url: str) -> CallbackEvent:
    """Return the body of the webhook for a job that has ended.

    Args:
        job: the job.
        result: result of the job.
        poll_url: URL at which clients poll the job.
    """
    ended = datetime.fromtimestamp(result.finished_at / 1000, UTC)
    return CallbackEvent(
        type="bulk.completed" if result.state == "completed" else "bulk.failed",
        timestamp=ended.isoformat(),
        data=CallbackData(
            task_id=job.task_id,
            status="completed" if result.state == "completed" else "failed",
            items=job.items,
            error=result.error,
            error_code=result.error_code,
            poll_url=poll_url,
        ),
    )
