"""Webhook secrets: the keys that sign a tenant's webhooks, stored in S3.

A secret is ``whsec_`` followed by the Base64 of 32 random bytes (Standard Webhooks 1.0.0,
"Signature scheme"). Signing needs the secret itself, so it cannot be stored as a hash. When a new
secret is created, the previous one continues to sign for a day, so that receivers can switch to the
new one in that time.
"""

import base64
import secrets
import time

import msgspec

from pipeline.errors import ObjectMissingError
from pipeline.storage import keys
from pipeline.storage.bucket import Bucket

_BYTES = 32
_OVERLAP = 86_400  # seconds for which a former secret continues to sign
#: Maximum number of former secrets, even if more are created within a day.
_MAX_FORMER = 4


class FormerSecret(msgspec.Struct, frozen=True):
    """A secret that was replaced.

    Attributes:
        until: time until which the secret still signs, in seconds since the epoch.
    """

    secret: str
    until: int


class WebhookSecret(msgspec.Struct, frozen=True):
    """The current secret of a tenant, and its former secrets that still sign."""

    secret: str
    former: list[FormerSecret] = []


class WebhookSecrets:
    """Webhook secrets of all tenants.

    Every method raises:
        StoreUnavailableError: S3 is unreachable.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def make(self, tenant: str) -> WebhookSecret:
        """Create a secret for a tenant; its previous secret continues to sign for a day."""
        now = int(time.time())
        made = "whsec_" + base64.b64encode(secrets.token_bytes(_BYTES)).decode()
        former: list[FormerSecret] = []
        before = self._read(tenant)
        if before is not None:
            former = [FormerSecret(before.secret, now + _OVERLAP), *_signing(before, now)]
        secret = WebhookSecret(made, former[:_MAX_FORMER])
        name = keys.webhook_secret_object(tenant)
        self._bucket.put(name, msgspec.json.encode(secret), "application/json")
        return secret

    def exists(self, tenant: str) -> bool:
        """Return whether a tenant has a secret."""
        return self._read(tenant) is not None

    def signing(self, tenant: str) -> list[str]:
        """Return the secrets that currently sign a tenant's webhooks, the newest first."""
        secret = self._read(tenant)
        if secret is None:
            return []
        former = _signing(secret, int(time.time()))
        return [secret.secret, *(each.secret for each in former)]

    def _read(self, tenant: str) -> WebhookSecret | None:
        try:
            data = self._bucket.get(keys.webhook_secret_object(tenant))
        except ObjectMissingError:
            return None
        return msgspec.json.decode(data, type=WebhookSecret)


def _signing(secret: WebhookSecret, now: int) -> list[FormerSecret]:
    return [former for former in secret.former if former.until > now]
