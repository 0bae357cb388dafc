"""The webhook in the OpenAPI document: its operation, and the descriptions of its fields."""

from typing import Any

from api.openapi.overview import WEBHOOKS
from api.openapi.responses import body, header_parameter
from api.schemas.tasks import ERROR_CODE_EXAMPLE, ERROR_EXAMPLE, TASK_ID_EXAMPLE

_DATA = {
    "task_id": TASK_ID_EXAMPLE,
    "status": "completed",
    "items": 1000,
    "error": None,
    "error_code": None,
    "poll_url": f"/qr/bulk/{TASK_ID_EXAMPLE}/",
}
#: Description and example of each field, by schema. The pipeline defines the types, and does not
#: depend on this document.
_FIELDS: dict[str, dict[str, tuple[str, Any]]] = {
    "CallbackEvent": {
        "type": ("How the task ended: `bulk.` followed by the status.", "bulk.completed"),
        "timestamp": ("Time when the task ended, ISO 8601.", "2026-11-23T08:00:01.020000+00:00"),
        "data": ("The task.", _DATA),
    },
    "CallbackData": {
        "task_id": ("Id of the task, a UUID.", TASK_ID_EXAMPLE),
        "status": ("Status of the task.", "completed"),
        "items": ("Number of items in the request.", 1000),
        "error": ("Why the task failed; null unless failed.", ERROR_EXAMPLE),
        "error_code": (
            "Stable name of `error`, for programs; null unless failed.",
            ERROR_CODE_EXAMPLE,
        ),
        "poll_url": (
            "Path of the task's status. To get the download URL, GET this path with the API key.",
            _DATA["poll_url"],
        ),
    },
}
_DESCRIPTIONS = {
    "CallbackEvent": "Body of the webhook that reports the end of a task.",
    "CallbackData": "The task that has ended.",
}


def describe_event(schemas: dict[str, Any]) -> None:
    """Add descriptions and examples to the schemas of the webhook's body."""
    for name, fields in _FIELDS.items():
        schemas[name]["description"] = _DESCRIPTIONS[name]
        for field, (description, example) in fields.items():
            schemas[name]["properties"][field] |= {
                "description": description,
                "examples": [example],
            }


def webhook() -> dict[str, Any]:
    """Return the OpenAPI callback: the POST to a request's ``callback_url``."""
    post = {
        "tags": [WEBHOOKS],
        "operationId": "taskEnded",
        "summary": "Receive the end of a task",
        "description": "The service sends this request to the `callback_url` when the task ends. "
        "Verify the signature with a library for Standard Webhooks and the secret from "
        "`POST /keys/self/webhook-secret/`. Respond with 2xx within 10 s. After any "
        "other response, the service retries with growing delays for 24 hours. The same event may "
        "arrive more than once: ignore a `webhook-id` that you have received before.",
        "parameters": [
            header_parameter(
                "webhook-id",
                "Id of the event, the same in every attempt.",
                f"{TASK_ID_EXAMPLE}_1795420801020",
                required=True,
            ),
            header_parameter(
                "webhook-timestamp",
                "Time of this attempt, in seconds since the epoch.",
                "1795420801",
                required=True,
            ),
            header_parameter(
                "webhook-signature",
                "`v1,` and a Base64 HMAC-SHA256 of id, timestamp and body; one signature per "
                "valid secret, separated by spaces.",
                "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
                required=True,
            ),
        ],
        "requestBody": body("CallbackEvent"),
        "responses": {
            "2XX": {"description": "Delivered; the event is not sent again."},
            "410": {"description": "The URL accepts no more events; the event is not sent again."},
        },
    }
    return {"ended": {"{$request.body#/callback_url}": {"post": post}}}
