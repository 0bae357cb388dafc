"""The paths of the OpenAPI document: requests and responses of each resource."""

from typing import Any

from api.openapi import request_examples as examples
from api.openapi.responses import (
    REF,
    accepted_headers,
    body,
    callbacks,
    json_content,
    json_response,
    not_modified,
    operation,
    path_parameter,
    poll_headers,
    query_parameter,
    query_parameters,
    response,
    text_content,
)
from api.schemas.lists import ChunksQuery, TasksQuery
from api.schemas.tasks import PARAMETERS

_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and body within 24 hours are the same task; the answer to a "
    "repeated request has `Idempotency-Replayed: true`",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_GZIP = (
    "The body may be compressed with gzip (`Content-Encoding: gzip`); its limit is that of what it "
    "holds."
)
_CSV = (
    "RFC 4180 in UTF-8. A header of any of `lot`, `serial` and `expiry`, in any order; then a "
    "record an item, in which an empty field is null. What its items share is in the query."
)


def symbol_paths() -> dict[str, Any]:
    """Return the path of single symbols."""
    tag = {"description": "A strong one: the image's SHA-256", "schema": {"type": "string"}}
    headers = {
        "ETag": tag,
        "Cache-Control": {
            "description": "`public, max-age=2592000`",
            "schema": {"type": "string"},
        },
    }
    images = {
        "image/png": {"schema": {"type": "string", "contentMediaType": "image/png"}},
        "image/svg+xml": text_content("A path in one `svg` element", examples.SVG_IMAGE),
    }
    if_none_match = {
        "name": "If-None-Match",
        "in": "header",
        "description": "The tag of an image that the client has",
        "schema": {"type": "string"},
    }
    return {
        "/qr/": {
            "post": operation(
                "symbol",
                "renderSymbol",
                "Render one symbol at once; nothing is kept",
                {
                    "200": response("The image", images, headers),
                    "304": {"description": "The client has the image", "headers": headers},
                },
                ("400", "406", "413", "415", "422"),
                description=_GZIP,
                parameters=[if_none_match],
                requestBody=body("SymbolRequest", examples.SYMBOL),
            ),
        },
    }


_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=N`: answer when the task has ended, or after N seconds, at most 30 "
    "(RFC 7240). `Preference-Applied` says that it was done; without it, too many were waiting",
    "schema": {"type": "string"},
    "example": "wait=30",
}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an answer before: 304 when nothing has changed since",
    "schema": {"type": "string"},
}

_TASK_ID = path_parameter("task_id", {"type": "string", "format": "uuid"})
_KEY_OR_SELF = "^([0-9a-z]{12}|self)$"


def bulk_paths() -> dict[str, Any]:
    """Return the paths under ``/qr/bulk/``."""
    accepted = json_response(
        "Accepted; ask at `poll_url`", "Accepted", accepted_headers(), examples.ACCEPTED
    )
    accepted["links"] = {
        name: {"operationId": name, "parameters": {"task_id": "$response.body#/task_id"}}
        for name in ("getBulk", "listChunks", "cancelBulk", "retryBulk")
    }
    return {
        "/qr/bulk/": {
            "get": operation(
                "bulk",
                "listBulk",
                "List tasks, the newest first: a client's own, an operator's choice of all",
                {"200": json_response("A page of tasks", "TaskList")},
                ("403", "406", "422"),
                parameters=query_parameters(TasksQuery),
            ),
            "post": operation(
                "bulk",
                "submitBulk",
                "Accept a request, before anything is rendered",
                {
                    "200": json_response(
                        "What would become of it, with `dry_run`", "DryRun", None, examples.DRY_RUN
                    ),
                    "202": accepted,
                },
                ("400", "406", "409", "413", "415", "422"),
                description=_GZIP,
                parameters=[*_bulk_query(), _IDEMPOTENCY_KEY],
                requestBody=body(
                    "BulkRequest",
                    examples.BULK_JSON,
                    {"text/csv": text_content(_CSV, examples.BULK_CSV)},
                ),
                callbacks=callbacks(),
            ),
        },
        "/qr/bulk/{task_id}/": {
            "parameters": [_TASK_ID],
            "get": operation(
                "bulk",
                "getBulk",
                "Say how far a task is, with a download URL when it is completed",
                {
                    "200": json_response("How far it is", "TaskStatus", poll_headers()),
                    "304": not_modified("It is as far as If-None-Match says"),
                },
                ("404", "406", "422"),
                parameters=[_PREFER, _IF_NONE_MATCH],
            ),
            "delete": operation(
                "bulk",
                "cancelBulk",
                "Cancel a task in flight: it fails with `error_code: cancelled`",
                {"200": json_response("The task as it is now", "TaskStatus")},
                ("404", "406", "409", "422"),
            ),
        },
        "/qr/bulk/{task_id}/chunks/": {
            "parameters": [_TASK_ID],
            "get": operation(
                "bulk",
                "listChunks",
                "Say of each chunk how far it is, how often it was tried, and its last error",
                {"200": json_response("A page of chunks", "ChunkList")},
                ("404", "406", "422"),
                parameters=query_parameters(ChunksQuery),
            ),
        },
        "/qr/bulk/{task_id}/retry/": {
            "parameters": [_TASK_ID],
            "post": operation(
                "bulk",
                "retryBulk",
                "Render again what a failed task lacks",
                {"202": accepted},
                ("404", "406", "409", "422"),
            ),
        },
    }


def _bulk_query() -> list[dict[str, Any]]:
    shared = [
        query_parameter(
            name,
            "Of the CSV form; the JSON form has it in its body",
            {"$ref": f"{REF.format(name='BulkRequest')}/properties/{name}"},
        )
        for name in PARAMETERS
    ]
    text = "`true`: say what would become of the request, and accept nothing"
    return [query_parameter("dry_run", text, {"type": "boolean", "default": False}), *shared]


def key_paths() -> dict[str, Any]:
    """Return the paths under ``/keys/``."""
    key_id = {"type": "string", "pattern": "^[0-9a-z]{12}$"}
    return {
        "/keys/": {
            "post": operation(
                "keys",
                "createKey",
                "Make an API key; its token is shown this once",
                {"201": json_response("The new key", "NewKeyResponse")},
                ("400", "403", "406", "413", "415", "422"),
                requestBody=body("NewKeyRequest"),
            ),
            "get": operation(
                "keys",
                "listKeys",
                "List every API key",
                {"200": json_response("The keys", "KeyList")},
                ("403", "406"),
            ),
        },
        "/keys/{key_id}/": {
            "parameters": [path_parameter("key_id", key_id)],
            "delete": operation(
                "keys",
                "revokeKey",
                "Revoke an API key, for good",
                {"200": json_response("The key as it is now", "KeyResponse")},
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
                {"201": json_response("The new secret", "WebhookSecretResponse")},
                ("403", "404", "406"),
            ),
        },
    }


def health_paths() -> dict[str, Any]:
    """Return the paths for load balancers."""

    def path(name: str, summary: str) -> dict[str, Any]:
        content = {"application/json": json_content("Health")}
        down = {"description": "A part does not answer", "content": content}
        headers = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
        responses = {"200": {"description": "It can work", "content": content, "headers": headers}}
        if name == "readyz":
            responses["503"] = down
        return {
            "get": {
                "tags": ["health"],
                "operationId": name,
                "summary": summary,
                "security": [],
                "responses": responses,
            },
        }

    return {
        "/healthz": path("healthz", "Whether the process answers"),
        "/readyz": path("readyz", "Whether Redis and S3 answer as well"),
    }
