"""The headers of a webhook, with its signatures (Standard Webhooks 1.0.0)."""

from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook


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
