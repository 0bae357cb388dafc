"""Webhook secrets on a real store."""

from pipeline.storage.bucket import Bucket
from pipeline.webhooks.secrets import WebhookSecrets


def test_a_secret_and_the_four_before_it_sign(bucket: Bucket) -> None:
    secrets = WebhookSecrets(bucket)
    assert secrets.signing("tenant") == []
    made = [secrets.make("tenant").secret for _ in range(7)]
    assert WebhookSecrets(bucket).signing("tenant") == made[:1:-1]
    assert not secrets.exists("other")
