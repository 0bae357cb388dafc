"""Examples in the OpenAPI document: bodies by the name of their schema."""

from typing import Any

from api.openapi.request_examples import GTIN, KEY_ID, SHA256, TASK_ID, named
from api.schemas.api_keys import KEY_EXAMPLE
from api.schemas.lists import CURSOR_EXAMPLE
from api.schemas.tasks import ERROR_CODE_EXAMPLE, ERROR_EXAMPLE

_CREATED, _FINISHED = "2026-11-23T08:00:00.120000+00:00", "2026-11-23T08:00:01.020000+00:00"
_EXPIRES = "2026-11-30T08:00:01+00:00"
_POLL_URL = f"/qr/bulk/{TASK_ID}/"


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
    bundle={"bytes": 812_345, "sha256": SHA256, "expires_at": _EXPIRES, "verified": True},
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
    error=ERROR_EXAMPLE,
    error_code=ERROR_CODE_EXAMPLE,
    chunks={"total": 2, "staged": 1, "failed": 1},
    finished_at=_FINISHED,
)


_NEW_KEY = {**KEY_EXAMPLE, "last_used_at": None}
_TOKEN = f"qrmill_{KEY_ID}_0123456789ABCDEFGHIJKLMNOPQRSTUVabcdef"


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
        running=("Running: half of the items are rendered", _RUNNING),
        completed=("Completed: the ZIP can be downloaded", _COMPLETED),
        failed=("Failed: a retry renders only the failed chunk", _FAILED),
    ),
    "TaskList": named(
        page=(
            "A page that is not the last one",
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
                        "tenant": KEY_ID,
                        "sent_by": KEY_ID,
                        "poll_url": _POLL_URL,
                    }
                ],
                "next_cursor": CURSOR_EXAMPLE,
            },
        ),
    ),
    "ChunkList": named(
        page=(
            "One staged chunk and one failed chunk",
            {
                "chunks": [
                    _chunk(0, "staged"),
                    _chunk(
                        1,
                        "failed",
                        attempts=4,
                        error=ERROR_EXAMPLE,
                        error_code=ERROR_CODE_EXAMPLE,
                    ),
                ],
                "next_cursor": None,
            },
        ),
    ),
    "NewKeyRequest": named(
        client=("A client's key", {"name": "print shop", "per_minute": 600}),
        tenant=("Another key of a tenant", {"name": "press 2", "tenant": KEY_ID}),
    ),
    "ImportKeyRequest": named(
        token=(
            "A token that a client already has",
            {"name": "print shop", "token": "sk_live_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
        ),
    ),
    "RotationRequest": named(week=("The former key works for another week", {"days": 7})),
    "NewKeyResponse": named(made=("A new key with its token", {**_NEW_KEY, "api_key": _TOKEN})),
    "RotatedKeyResponse": named(
        rotated=(
            "A new key, and the former one with its end",
            {
                **_NEW_KEY,
                "key_id": "8d1c6p3w5y7b",
                "api_key": _TOKEN.replace(KEY_ID, "8d1c6p3w5y7b"),
                "former": {**KEY_EXAMPLE, "expires_at": "2026-11-30T07:00:00+00:00"},
            },
        ),
    ),
    "KeyResponse": named(
        revoked=("A revoked key", {**KEY_EXAMPLE, "revoked_at": "2026-11-23T09:00:00+00:00"}),
    ),
    "KeyList": named(one=("One key", {"keys": [KEY_EXAMPLE]})),
    "WebhookSecretResponse": named(
        made=(
            "The first secret of a key",
            {
                "key_id": KEY_ID,
                "webhook_secret": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
                "former_signs_until": None,
                "tenant": KEY_ID,
            },
        ),
    ),
    "CallbackEvent": named(
        completed=(
            "A completed task",
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
        ok=("Everything is available", {"status": "ok", "unavailable": []}),
    ),
}
