"""Headers of a webhook, with its signatures (Standard Webhooks 1.0.0)."""

from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook


def signed_headers(event: str, at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """Return the headers of a webhook, with one signature per secret, in the order of ``secrets``.

    Args:
        event: id of the event, the same in every attempt.
        at: time of the attempt, in UTC.
        body: body as sent.
        secrets: webhook secrets, the newest first, each ``whsec_`` followed by Base64.
    """
    signatures = [Webhook(secret).sign(event, at, body.decode()) for secret in secrets]
    return {
        "Content-Type": "application/json",
        "User-Agent": "qrmill",
        "webhook-id": event,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
