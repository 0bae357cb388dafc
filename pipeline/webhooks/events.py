"""The body and the headers of a webhook."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import msgspec
from standardwebhooks import Webhook

from pipeline.webhooks.schedule import EndedJob


class CallbackData(msgspec.Struct, frozen=True, kw_only=True):
    """The job that has ended, as its poll tells it."""

    task_id: str
    status: Literal["completed", "failed"]
    items: int
    error: str | None
    error_code: str | None
    poll_url: str


class CallbackEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a callback: a job has ended, and when."""

    type: Literal["bulk.completed", "bulk.failed"]
    timestamp: str
    data: CallbackData


def make_event(job: EndedJob, prefix: str) -> CallbackEvent:
    """Return the body of the callback about ``job``, whose poll is below ``prefix``."""
    ended = datetime.fromtimestamp(job.finished_at / 1000, UTC)
    return CallbackEvent(
        type="bulk.completed" if job.state == "completed" else "bulk.failed",
        timestamp=ended.isoformat(),
        data=CallbackData(
            task_id=job.task_id,
            status=job.state,
            items=job.items,
            error=job.error,
            error_code=job.error_code,
            poll_url=f"{prefix}/qr/bulk/{job.task_id}/",
        ),
    )


def signed_headers(event: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers that vouch for ``body``: one signature a secret, the newest first.

    Args:
        event: id of what the callback is about.
        at: time of the attempt, in UTC.
        body: as it is sent.
        secrets: each ``whsec_`` and Base64.
    """
    signatures = [Webhook(secret).sign(event, at, body.decode()) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": "qrmill",
        "webhook-id": event,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
