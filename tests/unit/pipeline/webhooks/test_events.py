import base64
import hashlib
import hmac
from datetime import UTC, datetime

import msgspec
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from pipeline.model.jobs import poll_url
from pipeline.model.records import JobFields, Result
from pipeline.webhooks.events import make_event
from pipeline.webhooks.headers import signed_headers
from pipeline.webhooks.schedule import SCHEDULE

SECRETS = ["whsec_" + base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2)]
JOB = JobFields(
    task_id="7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63",
    key_id="key",
    key_name="client",
    request_id="request",
    created_at=1_794_999_999_000,
    gtin="09506000134352",
    format="png",
    size=400,
    error_correction="M",
    link_base="https://id.gs1.org",
    items=7,
    chunk_size=500,
    callback_url="https://hooks.example.com/",
)
RESULT = Result(
    state="failed",
    finished_at=1_795_000_000_123,
    error="The task was cancelled by request.",
    error_code="cancelled",
)


def test_a_body_is_small_and_says_what_the_poll_says_but_no_download_url() -> None:
    assert msgspec.to_builtins(
        make_event(JOB, RESULT, poll_url("/products/api/v1", JOB.task_id))
    ) == {
        "type": "bulk.failed",
        "timestamp": "2026-11-18T11:06:40.123000+00:00",
        "data": {
            "task_id": JOB.task_id,
            "status": "failed",
            "items": 7,
            "error": "The task was cancelled by request.",
            "error_code": "cancelled",
            "poll_url": f"/products/api/v1/qr/bulk/{JOB.task_id}/",
        },
    }


@pytest.mark.parametrize("secret", SECRETS)
def test_each_secret_that_signs_is_enough_for_the_public_library(secret: str) -> None:
    body = b'{"a":"\xc3\xa9"}'
    headers = signed_headers("an_event", datetime.now(UTC), body, SECRETS)
    assert Webhook(secret).verify(body, headers) == {"a": "é"}
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers | {"webhook-id": "another"})


def test_a_signature_is_the_hmac_of_id_timestamp_and_body() -> None:
    at = datetime(2026, 11, 23, 12, 0, 0, 900_000, tzinfo=UTC)
    headers = signed_headers("an_event", at, b"{}", SECRETS[:1])
    assert headers["webhook-timestamp"] == str(int(at.timestamp()))
    signed = f"an_event.{int(at.timestamp())}.{{}}".encode()
    digest = hmac.new(bytes([1]) * 32, signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_the_schedule_spans_a_day_with_growing_pauses() -> None:
    assert 24 * 3600 <= sum(SCHEDULE) < 25 * 3600
    assert [*SCHEDULE] == sorted(SCHEDULE)
