"""Responses built from what the pipeline knows; constructors of msgspec check no types."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from api import presenters
from pipeline.service import ApiKey, Bundle, ChunkStatus, JobStatus
from tests.staged import BUNDLE_TIMES

TASK_ID = "7d2a4f0e-6c1b-4a39-9d0e-2f5c8b1a7e63"
MOMENT, SECONDS = "2026-11-23T08:00:00+00:00", 1_795_420_800
FIELDS: dict[str, Any] = {
    "task_id": TASK_ID,
    "key_id": "4f9k2m7q1x8z",
    "key_name": "print shop",
    "gtin": "09506000134352",
    "format": "png",
    "size": 400,
    "items": 3,
    "chunk_size": 2,
    "chunks": 2,
    "created_at": SECONDS * 1000,
}
RUNNING = JobStatus(state="running", processed_items=2, staged=1, failed=0, **FIELDS)
COMPLETED = JobStatus(
    state="completed",
    processed_items=3,
    staged=2,
    failed=0,
    finished_at=SECONDS * 1000 + 500,
    bundle=Bundle(
        bytes=1000, sha256="ab" * 32, expires_at=SECONDS, times=BUNDLE_TIMES, verified=True
    ),
    callback_url="https://hooks.example.com/",
    callback_state="delivered",
    callback_attempts=1,
    callback_delivered_at=SECONDS * 1000,
    **FIELDS,
)
KEY = ApiKey(key_id="4f9k2m7q1x8z", name="print shop", role="client", sha256="", created_at=SECONDS)
CHUNK = ChunkStatus(index=1, first_item=3, last_item=3, state="staged", attempts=1, took=7)


@pytest.mark.parametrize(
    "present",
    [
        lambda: presenters.accepted("/api", TASK_ID, 3),
        lambda: presenters.task_status(RUNNING, None),
        lambda: presenters.task_status(COMPLETED, ("https://s3.example.com/", SECONDS)),
        lambda: presenters.task_summary(RUNNING, "/api"),
        lambda: presenters.task_summary(COMPLETED, "/api"),
        lambda: presenters.chunk_response(CHUNK),
        lambda: presenters.key_response(KEY, None),
        lambda: presenters.key_response(KEY, "2026-11-23"),
        lambda: presenters.new_key_response(KEY, "qrmill_4f9k2m7q1x8z_secret"),
        lambda: presenters.rotated_key_response(
            KEY, "qrmill_4f9k2m7q1x8z_secret", presenters.key_response(KEY, None)
        ),
    ],
)
def test_every_field_has_the_type_of_its_schema(present: Callable[[], msgspec.Struct]) -> None:
    response = present()
    assert msgspec.json.decode(msgspec.json.encode(response), type=type(response)) == response


def test_a_completed_job_has_its_download_and_its_callback() -> None:
    status = presenters.task_status(COMPLETED, ("https://s3.example.com/", SECONDS))
    assert (status.download_url, status.expires_at) == ("https://s3.example.com/", MOMENT)
    assert (status.items, status.progress_percent) == (3, 100.0)
    assert status.finished_at == "2026-11-23T08:00:00.500000+00:00"
    assert status.bundle is not None
    assert (status.bundle.expires_at, status.bundle.verified) == (MOMENT, True)
    assert status.callback is not None
    assert (status.callback.next_attempt_at, status.callback.delivered_at) == (None, MOMENT)


def test_a_job_in_flight_has_neither() -> None:
    status = presenters.task_status(RUNNING, None)
    assert {status.download_url, status.expires_at, status.items, status.finished_at} == {None}
    assert (status.bundle, status.callback, status.progress_percent) == (None, None, 66.7)


def test_the_accepted_and_the_listed_task_are_polled_at_one_url() -> None:
    assert presenters.accepted("/api", TASK_ID, 3).poll_url == f"/api/qr/bulk/{TASK_ID}/"
    assert presenters.task_summary(RUNNING, "/api").poll_url == f"/api/qr/bulk/{TASK_ID}/"
