"""Webhook secrets: what an API key's callbacks are signed with, kept in S3.

A secret is ``whsec_`` and the Base64 of 32 random bytes (Standard Webhooks 1.0.0, "Signature
scheme"). It has to be kept as it is, because it signs. A new one does not silence the one before:
both sign for a day, so that a receiver can change over in between.
"""

import base64
import secrets
import time

import msgspec

from pipeline.errors import ObjectMissingError
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket

_BYTES = 32
_SIGNS_ALONG = 86_400  # seconds
#: Former secrets that are kept at most, however fast new ones are made.
_FORMER = 4


class FormerSecret(msgspec.Struct, frozen=True):
    """A secret that was replaced, and until when it signs, in seconds since the epoch."""

    secret: str
    until: int


class WebhookSecret(msgspec.Struct, frozen=True):
    """An API key's secret, and those before it that still sign."""

    secret: str
    former: list[FormerSecret] = []


class WebhookSecrets:
    """The secrets of all API keys.

    Every method raises:
        StoreUnavailableError: S3 is out of reach.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def make(self, key_id: str) -> WebhookSecret:
        """Make a key's secret, or a new one beside those that it has."""
        now = int(time.time())
        made = "whsec_" + base64.b64encode(secrets.token_bytes(_BYTES)).decode()
        former: list[FormerSecret] = []
        before = self._read(key_id)
        if before is not None:
            former = [FormerSecret(before.secret, now + _SIGNS_ALONG), *_signing(before, now)]
        secret = WebhookSecret(made, former[:_FORMER])
        name = keys.webhook_secret_object(key_id)
        self._bucket.put(name, msgspec.json.encode(secret), "application/json")
        return secret

    def exists(self, key_id: str) -> bool:
        """Return whether a key has a secret."""
        return self._read(key_id) is not None

    def signing(self, key_id: str) -> list[str]:
        """Return the secrets that sign a key's callbacks now, the newest first."""
        secret = self._read(key_id)
        if secret is None:
            return []
        former = _signing(secret, int(time.time()))
        return [secret.secret, *(each.secret for each in former)]

    def _read(self, key_id: str) -> WebhookSecret | None:
        try:
            data = self._bucket.get(keys.webhook_secret_object(key_id))
        except ObjectMissingError:
            return None
        return msgspec.json.decode(data, type=WebhookSecret)


def _signing(secret: WebhookSecret, now: int) -> list[FormerSecret]:
    return [former for former in secret.former if former.until > now]
