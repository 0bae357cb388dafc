"""The paths of the OpenAPI document: what each resource takes and answers."""

from typing import Any

from api.operations import (
    REF,
    accepted_headers,
    answer,
    body,
    callbacks,
    operation,
    path_parameter,
    poll_headers,
)

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and body within 24 hours are the same task; the answer to a "
    "repeated request has `Idempotency-Replayed: true`",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}

_KEY_OR_SELF = "^([0-9a-z]{12}|self)$"


def bulk_paths() -> dict[str, Any]:
    """Return the paths under ``/qr/bulk/``."""
    return {
        "/qr/bulk/": {
            "post": operation(
                "bulk",
                "submitBulk",
                "Accept a request, before anything is rendered",
                {"202": answer("Accepted; ask at `poll_url`", "Accepted", accepted_headers())},
                ("400", "406", "409", "413", "415", "422"),
                parameters=[_IDEMPOTENCY_KEY],
                requestBody=body("BulkRequest"),
                callbacks=callbacks(),
            ),
        },
        "/qr/bulk/{task_id}/": {
            "parameters": [path_parameter("task_id", {"type": "string", "format": "uuid"})],
            "get": operation(
                "bulk",
                "getBulk",
                "Say how far a task is, with a download URL when it is completed",
                {"200": answer("How far it is", "TaskStatus", poll_headers())},
                ("404", "406", "422"),
            ),
            "delete": operation(
                "bulk",
                "cancelBulk",
                "Cancel a task in flight: it fails with `error_code: cancelled`",
                {"200": answer("The task as it is now", "TaskStatus")},
                ("404", "406", "409", "422"),
            ),
        },
        "/qr/bulk/{task_id}/retry/": {
            "parameters": [path_parameter("task_id", {"type": "string", "format": "uuid"})],
            "post": operation(
                "bulk",
                "retryBulk",
                "Render again what a failed task lacks",
                {"202": answer("Accepted; ask at `poll_url`", "Accepted", accepted_headers())},
                ("404", "406", "409", "422"),
            ),
        },
    }


def key_paths() -> dict[str, Any]:
    """Return the paths under ``/keys/``."""
    key_id = {"type": "string", "pattern": "^[0-9a-z]{12}$"}
    return {
        "/keys/": {
            "post": operation(
                "keys",
                "createKey",
                "Make an API key; its token is shown this once",
                {"201": answer("The new key", "NewKeyAnswer")},
                ("400", "403", "406", "413", "415", "422"),
                requestBody=body("NewKeyRequest"),
            ),
            "get": operation(
                "keys",
                "listKeys",
                "List every API key",
                {"200": answer("The keys", "KeyList")},
                ("403", "406"),
            ),
        },
        "/keys/{key_id}/": {
            "parameters": [path_parameter("key_id", key_id)],
            "delete": operation(
                "keys",
                "revokeKey",
                "Revoke an API key, for good",
                {"200": answer("The key as it is now", "KeyAnswer")},
                ("403", "404", "406"),
            ),
        },
        "/keys/{key_id}/webhook-secret/": {
            "parameters": [path_parameter("key_id", {"type": "string", "pattern": _KEY_OR_SELF})],
            "post": operation(
                "keys",
                "createWebhookSecret",
                "Make the secret that signs a key's callbacks; `self` is the key that asks. The "
                "one before signs along for 24 hours",
                {"201": answer("The new secret", "WebhookSecretAnswer")},
                ("403", "404", "406"),
            ),
        },
    }


def health_paths() -> dict[str, Any]:
    """Return the paths that load balancers ask."""

    def path(name: str, summary: str) -> dict[str, Any]:
        content = {"application/json": {"schema": {"$ref": REF.format(name="Health")}}}
        down = {"description": "A part does not answer", "content": content}
        headers = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
        answers = {"200": {"description": "It can work", "content": content, "headers": headers}}
        if name == "readyz":
            answers["503"] = down
        return {
            "get": {
                "tags": ["health"], "operationId": name, "summary": summary, "security": [],
                "responses": answers,
            },
        }  # fmt: skip

    return {
        "/healthz": path("healthz", "Whether the process answers"),
        "/readyz": path("readyz", "Whether Redis and S3 answer as well"),
    }
