"""Examples in the OpenAPI document: responses and other bodies, by the name of their schema."""

from typing import Any

from api.openapi.request_examples import GTIN, TASK_ID, named

_CREATED, _FINISHED = "2026-11-23T08:00:00.120000+00:00", "2026-11-23T08:00:01.020000+00:00"
_EXPIRES = "2026-11-30T08:00:01+00:00"
_POLL_URL = f"/qr/bulk/{TASK_ID}/"
_CURSOR = "MTc5NTQyMDgwMDEyMC43ZDJhNGYwZS02YzFiLTRhMzktOWQwZS0yZjVjOGIxYTdlNjM="
_SHA256 = "9b74c9897bac770ffc029102a200c5de1b2f1e8a0a5b1c7f0e9d8c7b6a594837"


def _status(state: str, staged: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {
        "task_id": TASK_ID,
        "status": state,
        "download_url": None,
        "expires_at": None,
        "items": None,
        "error": None,
        "error_code": None,
        "processed_items": 500 * staged,
        "total_items": 1000,
        "progress_percent": 50.0 * staged,
        "chunks": {"total": 2, "staged": staged, "failed": 0},
        "created_at": _CREATED,
        "finished_at": None,
        "bundle": None,
        "callback": None,
        **more,
    }


_RUNNING = _status("running", 1)
_COMPLETED = _status(
    "completed",
    2,
    download_url=f"https://s3.example.com/qrmill/jobs/{TASK_ID}/bundle.zip?X-Amz-Signature=…",
    expires_at="2026-11-23T09:00:05+00:00",
    items=1000,
    finished_at=_FINISHED,
    bundle={"bytes": 812_345, "sha256": _SHA256, "expires_at": _EXPIRES},
    callback={
        "state": "delivered",
        "attempts": 1,
        "last_error": None,
        "next_attempt_at": None,
        "delivered_at": "2026-11-23T08:00:01.090000+00:00",
    },
)
_FAILED = _status(
    "failed",
    1,
    error="Chunk 1 failed after 4 tries: the object store did not answer.",
    error_code="storage_unavailable",
    chunks={"total": 2, "staged": 1, "failed": 1},
    finished_at=_FINISHED,
)
_KEY = {
    "key_id": "4f9k2m7q1x8z",
    "name": "print shop",
    "role": "client",
    "per_minute": 600,
    "per_day": 0,
    "created_at": "2026-11-23T07:00:00+00:00",
    "revoked_at": None,
}


def _chunk(index: int, state: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    return {
        "index": index,
        "first_item": 500 * index + 1,
        "last_item": 500 * index + 500,
        "state": state,
        "attempts": 1,
        "error": None,
        "error_code": None,
        **more,
    }


EXAMPLES: dict[str, dict[str, Any]] = {
    "TaskStatus": named(
        running=("Half of it is rendered", _RUNNING),
        completed=("The bundle can be downloaded", _COMPLETED),
        failed=("A chunk failed for good; a re-run renders that one alone", _FAILED),
    ),
    "TaskList": named(
        page=(
            "A page that is not the last",
            {
                "tasks": [
                    {
                        "task_id": TASK_ID,
                        "status": "completed",
                        "gtin": f"0{GTIN}",
                        "format": "png",
                        "size": 400,
                        "processed_items": 1000,
                        "total_items": 1000,
                        "error": None,
                        "error_code": None,
                        "created_at": _CREATED,
                        "finished_at": _FINISHED,
                        "key": "print shop",
                        "poll_url": _POLL_URL,
                    }
                ],
                "next_cursor": _CURSOR,
            },
        ),
    ),
    "ChunkList": named(
        page=(
            "One chunk is staged, one failed",
            {
                "chunks": [
                    _chunk(0, "staged"),
                    _chunk(
                        1,
                        "failed",
                        attempts=4,
                        error="Chunk 1 failed after 4 tries: the object store did not answer.",
                        error_code="storage_unavailable",
                    ),
                ],
                "next_cursor": None,
            },
        ),
    ),
    "NewKeyRequest": named(client=("A client's", {"name": "print shop", "per_minute": 600})),
    "NewKeyResponse": named(
        made=(
            "The token is shown this once",
            {**_KEY, "api_key": "qrmill_4f9k2m7q1x8z_0123456789ABCDEFGHIJKLMNOPQRSTUVabcdef"},
        ),
    ),
    "KeyResponse": named(
        revoked=("Revoked", {**_KEY, "revoked_at": "2026-11-23T09:00:00+00:00"}),
    ),
    "KeyList": named(one=("One key", {"keys": [_KEY]})),
    "WebhookSecretResponse": named(
        made=(
            "The secret is shown this once",
            {
                "key_id": _KEY["key_id"],
                "webhook_secret": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                "former_signs_until": None,
            },
        ),
    ),
    "CallbackEvent": named(
        completed=(
            "A task has completed",
            {
                "type": "bulk.completed",
                "timestamp": _FINISHED,
                "data": {
                    "task_id": TASK_ID,
                    "status": "completed",
                    "items": 1000,
                    "error": None,
                    "error_code": None,
                    "poll_url": _POLL_URL,
                },
            },
        ),
    ),
    "Health": named(
        ok=("All is well", {"status": "ok", "unavailable": []}),
    ),
}
