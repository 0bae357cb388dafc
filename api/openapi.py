"""The OpenAPI 3.1 document, made from the types that go over the wire."""

from importlib.metadata import version
from typing import Any

import msgspec

from api import schemas
from api.problems import MEDIA_TYPE, Problem

_REF = "#/components/schemas/{name}"
_TYPES = (
    schemas.BulkRequest,
    schemas.Accepted,
    schemas.TaskStatus,
    schemas.NewKeyRequest,
    schemas.NewKeyAnswer,
    schemas.KeyAnswer,
    schemas.KeyList,
    schemas.Health,
    Problem,
)
_ERRORS = {
    "400": "The body is not JSON",
    "401": "No API key, or an unknown one",
    "403": "The key does not have the role",
    "404": "There is no such thing that this key may see",
    "406": "The client does not accept the answer's media type",
    "409": "The key is in use by a request in flight, or the task's state forbids this",
    "413": "The body is over the limit",
    "415": "The body's media type is not application/json",
    "422": "Valid JSON, but not a valid request; `errors` lists every bad value",
    "429": "The key is over its rate",
    "503": "The queue or the store is out of reach, or too much waits; nothing was accepted",
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key and body within 24 hours are the same task; the answer to a "
    "repeated request has `Idempotency-Replayed: true`",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_ALWAYS = ("401", "429", "503")
_RATE_HEADERS = {
    "RateLimit-Policy": "The key's windows, such as `300;w=60, 10000;w=86400`",
    "RateLimit-Limit": "Requests that the window nearest to its end allows",
    "RateLimit-Remaining": "Requests left in it",
    "RateLimit-Reset": "Seconds until it starts anew",
    "X-RateLimit-Limit": "As RateLimit-Limit",
    "X-RateLimit-Remaining": "As RateLimit-Remaining",
    "X-RateLimit-Reset": "When it starts anew, Unix time",
    "X-Request-ID": "The request's id: the client's own, or a new one",
}


def build_document(prefix: str, max_items: int) -> dict[str, Any]:
    """Return the document of an API at ``prefix`` that takes ``max_items`` items a request."""
    _, components = msgspec.json.schema_components(_TYPES, ref_template=_REF)
    components["BulkRequest"]["properties"]["items"] |= {"minItems": 1, "maxItems": max_items}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "qrmill",
            "version": version("qrmill"),
            "summary": "GS1 Digital Link QR codes in bulk",
            "description": "POST a GTIN and up to "
            f"{max_items} items, poll the task, download one ZIP of QR codes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": prefix or "/"}],
        "security": [{"ApiKey": []}],
        "tags": [
            {"name": "bulk", "description": "Many symbols a request"},
            {"name": "keys", "description": "API keys, for operators"},
            {"name": "health", "description": "For load balancers"},
        ],
        "paths": _bulk_paths() | _key_paths() | _health_paths(),
        "components": {
            "schemas": components,
            "headers": {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in _RATE_HEADERS.items()
            },
            "responses": {code: _problem(text) for code, text in _ERRORS.items()},
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _bulk_paths() -> dict[str, Any]:
    return {
        "/qr/bulk/": {
            "post": _operation(
                "bulk",
                "submitBulk",
                "Accept a request, before anything is rendered",
                {"202": _answer("Accepted; ask at `poll_url`", "Accepted", _accepted_headers())},
                ("400", "406", "409", "413", "415", "422"),
                parameters=[_IDEMPOTENCY_KEY],
                requestBody=_body("BulkRequest"),
            ),
        },
        "/qr/bulk/{task_id}/": {
            "parameters": [_path_parameter("task_id", {"type": "string", "format": "uuid"})],
            "get": _operation(
                "bulk",
                "getBulk",
                "Say how far a task is, with a download URL when it is completed",
                {"200": _answer("How far it is", "TaskStatus", _poll_headers())},
                ("404", "406", "422"),
            ),
            "delete": _operation(
                "bulk",
                "cancelBulk",
                "Cancel a task in flight: it fails with `error_code: cancelled`",
                {"200": _answer("The task as it is now", "TaskStatus")},
                ("404", "406", "409", "422"),
            ),
        },
        "/qr/bulk/{task_id}/retry/": {
            "parameters": [_path_parameter("task_id", {"type": "string", "format": "uuid"})],
            "post": _operation(
                "bulk",
                "retryBulk",
                "Render again what a failed task lacks",
                {"202": _answer("Accepted; ask at `poll_url`", "Accepted", _accepted_headers())},
                ("404", "406", "409", "422"),
            ),
        },
    }


def _key_paths() -> dict[str, Any]:
    key_id = {"type": "string", "pattern": "^[0-9a-z]{12}$"}
    return {
        "/keys/": {
            "post": _operation(
                "keys",
                "createKey",
                "Make an API key; its token is shown this once",
                {"201": _answer("The new key", "NewKeyAnswer")},
                ("400", "403", "406", "413", "415", "422"),
                requestBody=_body("NewKeyRequest"),
            ),
            "get": _operation(
                "keys",
                "listKeys",
                "List every API key",
                {"200": _answer("The keys", "KeyList")},
                ("403", "406"),
            ),
        },
        "/keys/{key_id}/": {
            "parameters": [_path_parameter("key_id", key_id)],
            "delete": _operation(
                "keys",
                "revokeKey",
                "Revoke an API key, for good",
                {"200": _answer("The key as it is now", "KeyAnswer")},
                ("403", "404", "406"),
            ),
        },
    }


def _health_paths() -> dict[str, Any]:
    def path(name: str, summary: str) -> dict[str, Any]:
        content = {"application/json": {"schema": {"$ref": _REF.format(name="Health")}}}
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


def _operation(
    tag: str,
    name: str,
    summary: str,
    answers: dict[str, Any],
    errors: tuple[str, ...],
    **more: Any,  # noqa: ANN401 - parts of the document
) -> dict[str, Any]:
    refused = {
        code: {"$ref": f"#/components/responses/{code}"} for code in sorted({*errors, *_ALWAYS})
    }
    return {
        "tags": [tag], "operationId": name, "summary": summary, **more,
        "responses": answers | refused,
    }  # fmt: skip


def _path_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _body(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(name=schema)}}}
    return {"required": True, "content": content}


def _answer(text: str, schema: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    shared = {name: {"$ref": f"#/components/headers/{name}"} for name in _RATE_HEADERS}
    return {
        "description": text,
        "headers": shared | (headers or {}),
        "content": {"application/json": {"schema": {"$ref": _REF.format(name=schema)}}},
    }


def _accepted_headers() -> dict[str, Any]:
    return _poll_headers() | {
        "Location": {"description": "As poll_url", "schema": {"type": "string"}}
    }


def _poll_headers() -> dict[str, Any]:
    text = "Seconds to wait before the next poll; absent when the task has ended"
    return {"Retry-After": {"description": text, "schema": {"type": "string"}}}


def _problem(text: str) -> dict[str, Any]:
    schema = {"$ref": _REF.format(name="Problem")}
    return {"description": text, "content": {MEDIA_TYPE: {"schema": schema}}}
