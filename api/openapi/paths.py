"""The paths of the OpenAPI document: operations with their requests and responses."""

import json
from typing import Any

from api.openapi import request_examples as examples
from api.openapi.overview import FOLLOW, HEALTH, KEYS, SINGLE, SUBMIT, WEBHOOKS
from api.openapi.responses import (
    REF,
    accepted_headers,
    body,
    field_schemas,
    header,
    header_parameter,
    json_content,
    json_response,
    not_modified,
    operation,
    path_parameter,
    poll_headers,
    query_parameter,
    query_parameters,
    replayed_header,
    request_id_header,
    response,
    task_id_parameter,
    text_content,
)
from api.openapi.webhook import webhook
from api.schemas.lists import ChunksQuery, TasksQuery
from api.schemas.tasks import (
    MAX_KEY_LENGTH,
    MAX_WAIT,
    PARAMETERS,
    SERIALS_PARAMETERS,
    BulkItem,
    BulkRequest,
)
from render.image import MEDIA_TYPES

_IDEMPOTENCY_KEY = header_parameter(
    "Idempotency-Key",
    "Makes the request safe to repeat: within 24 hours, the same key with a body of the same "
    "meaning does not create a second task. A UUID is a good key.",
    "c0ffee00-5e2a-4b0d-8f7e-1d2c3b4a5f60",
    minLength=1,
    maxLength=MAX_KEY_LENGTH,
)
_GZIP = (
    "The body may be compressed (`Content-Encoding: gzip`); the size limit counts decompressed "
    "bytes."
)
_CSV = (
    "CSV (RFC 4180) in UTF-8, or in UTF-16 with a byte order mark: a header with any of "
    "the fields of an item or their aliases, in any order, then one record per item. Fields are "
    "separated by the header's separator: commas, semicolons or tabs. An empty field means no "
    "value. The fields that all items share are query parameters."
)
_SUBMIT = f"""\
Validates the whole request, stores it, and responds with 202 before anything is rendered. Poll \
`poll_url` for the progress and the download URL.

- If one value is invalid, nothing is accepted; the response is a 422 that lists every invalid \
value.
- With `dry_run=true`, the request is only validated; the response is a 200 with the number and \
size of the symbols in modules, pixels and millimetres, with every invalid value and every warning.
- Values that are valid but probably not intended are listed in `warnings`. With `strict`, they \
are invalid.
- To repeat a request safely, send an `Idempotency-Key`.
- For CSV, send `Content-Type: text/csv`. The body has the items, and the query has the other \
fields.
- In place of `items`, the request may have `serials`: a range of serial numbers, or a number of \
them drawn at random. They are made once, when the request is accepted; a repetition with the same \
`Idempotency-Key` gets the same task, and draws no others.

{_GZIP}"""
_POLL = f"""\
Reports the status, the progress and, once `status` is `completed`, a `download_url`. The URL is \
signed again for every response and works until `expires_at`, without an API key.

While the task is pending or running, wait the number of seconds in `Retry-After` between two \
polls. Two headers make polling cheaper:

- `Prefer: wait={MAX_WAIT}` delays the response until the task ends, for at most {MAX_WAIT} seconds.
- `If-None-Match` with the last `ETag` gives a 304 without a body if nothing has changed."""


def symbol_paths() -> dict[str, Any]:
    """Return the path of single symbols."""
    headers = {
        "ETag": header("SHA-256 of the image, a strong tag.", f'"{examples.SHA256}"'),
        "Cache-Control": header("The image may be cached for 30 days.", "public, max-age=2592000"),
    }
    images = {
        kind: {"schema": {"type": "string", "contentMediaType": kind}}
        for kind in MEDIA_TYPES.values()
    } | {
        MEDIA_TYPES["svg"]: text_content(
            "An SVG image with one `path` for all dark modules.", examples.SVG_IMAGE
        ),
    }
    if_none_match = header_parameter(
        "If-None-Match",
        "`ETag` of an image that the client has. If the image is the same, the response is 304.",
        f'"{examples.SHA256}"',
    )
    return {
        "/qr/": {
            "post": operation(
                SINGLE,
                "renderSymbol",
                "Render one QR code",
                "Responds with the image of one QR code. Nothing is stored, and there is no task. "
                f"The same values always give the same image. {_GZIP}",
                responses={
                    "200": response("The image, in the requested format.", images, headers),
                    "304": {
                        "description": "The image is unchanged: `If-None-Match` has its `ETag`.",
                        "headers": headers,
                    },
                },
                errors=("400", "406", "413", "415", "422"),
                parameters=[if_none_match],
                requestBody=body("SymbolRequest", examples.SYMBOL),
            ),
        },
    }


_PREFER = header_parameter(
    "Prefer",
    f"`wait=N` (RFC 7240): respond when the task ends, or after N seconds, at most {MAX_WAIT}. The "
    "header `Preference-Applied` confirms the wait; it is absent if too many requests are waiting.",
    f"wait={MAX_WAIT}",
)
_IF_NONE_MATCH = header_parameter(
    "If-None-Match",
    "`ETag` of an earlier response. If nothing has changed since, the response is 304.",
    'W/"5f2b1c9a7e4d3086b1c2d3e4f5a60718"',
)

#: Link of the 202 response by operation id -> its description.
_LINKS = {
    "getBulk": "Poll the task.",
    "listChunks": "List the chunks of the task.",
    "cancelBulk": "Cancel the task.",
    "retryBulk": "Retry the task if it has failed.",
}


_PURGE = "`true` to delete a task that has ended, instead of cancelling one in flight."


def bulk_paths() -> dict[str, Any]:
    """Return the paths under ``/qr/bulk/``."""
    return {
        "/qr/bulk/": {"post": _submit_operation(), "get": _list_operation()},
        "/qr/bulk/{task_id}/": {
            "parameters": [task_id_parameter()],
            "get": operation(
                FOLLOW,
                "getBulk",
                "Get the status and the download URL",
                _POLL,
                responses={
                    "200": json_response("The status of the task.", "TaskStatus", poll_headers()),
                    "304": not_modified(
                        "Nothing has changed: `If-None-Match` has the same `ETag`."
                    ),
                },
                errors=("404", "406", "422"),
                parameters=[_PREFER, _IF_NONE_MATCH],
            ),
            "delete": operation(
                FOLLOW,
                "cancelBulk",
                "Cancel a task or purge an ended one",
                "Cancels a task that is pending or running. The task then has the status `failed` "
                "and the `error_code` `cancelled`. Repeating the request gives the same response. "
                "If the task has ended in another way, the response is 409.\n\n"
                "With `purge=true`, deletes a task that has ended: its ZIP, its request and its "
                "records. Its Idempotency-Key can be used again, and a webhook that is still due "
                "is not sent. Download URLs stop working. Repeating the request gives the same "
                "response. A task in flight is not cancelled: the response is 409.",
                responses={
                    "200": json_response("The status of the cancelled task.", "TaskStatus"),
                    "204": {
                        "description": "The task is deleted (`purge=true`).",
                        "headers": request_id_header(),
                    },
                },
                errors=("404", "406", "409", "422"),
                parameters=[query_parameter("purge", _PURGE, _flag())],
            ),
        },
        "/qr/bulk/{task_id}/chunks/": {
            "parameters": [task_id_parameter()],
            "get": operation(
                FOLLOW,
                "listChunks",
                "List the chunks of a task",
                "Reports the items, the state, the attempts and the last error of every chunk. "
                "Chunks are rendered in parallel. The chunks of a failed task show which items "
                "failed.",
                responses={"200": json_response("A page of chunks.", "ChunkList")},
                errors=("404", "406", "422"),
                parameters=query_parameters(ChunksQuery),
            ),
        },
        "/qr/bulk/{task_id}/retry/": {
            "parameters": [task_id_parameter()],
            "post": operation(
                FOLLOW,
                "retryBulk",
                "Retry a failed task",
                "Renders only the chunks that failed or were not rendered, and builds the ZIP. The "
                "`task_id` stays the same. If the task has not failed, the response is 409.",
                responses={"202": _accepted({})},
                errors=("404", "406", "409", "422"),
            ),
        },
    }


def _submit_operation() -> dict[str, Any]:
    dry_run = json_response(
        "The result of the dry run, with `dry_run=true`.", "DryRun", None, examples.DRY_RUN
    )
    return operation(
        SUBMIT,
        "submitBulk",
        "Submit a job",
        _SUBMIT,
        responses={"200": dry_run, "202": _accepted(replayed_header())},
        errors=("400", "406", "409", "413", "415", "422"),
        parameters=[*_bulk_query(), _IDEMPOTENCY_KEY],
        requestBody=_bulk_body(),
        callbacks=webhook(),
    )


def _bulk_body() -> dict[str, Any]:
    """Return the request body: items or serials as JSON, or items as CSV."""
    in_json = examples.BULK_JSON | examples.SERIALS_JSON
    found = body("BulkRequest", in_json, {"text/csv": text_content(_CSV, examples.BULK_CSV)})
    kinds = ("BulkRequest", "SerialsRequest")
    content = found["content"]["application/json"]
    content["schema"] = {"oneOf": [{"$ref": REF.format(name=kind)} for kind in kinds]}
    return found


def _list_operation() -> dict[str, Any]:
    return operation(
        FOLLOW,
        "listBulk",
        "List tasks",
        "Lists tasks, newest first, in pages. A client's key lists the tasks of its tenant; an "
        "operator's key lists the tasks of all tenants. To get the next page, send `next_cursor` "
        "as `cursor`, until it is null.",
        responses={"200": json_response("A page of tasks.", "TaskList")},
        errors=("403", "406", "422"),
        parameters=query_parameters(TasksQuery),
    )


def _accepted(headers: dict[str, Any]) -> dict[str, Any]:
    """Return the 202 response, with ``headers`` in addition to its own."""
    found = json_response(
        "Accepted. Poll `poll_url` until the task ends.",
        "Accepted",
        accepted_headers() | headers,
        examples.ACCEPTED,
    )
    found["links"] = {
        name: {
            "operationId": name,
            "description": description,
            "parameters": {"task_id": "$response.body#/task_id"},
        }
        for name, description in _LINKS.items()
    }
    return found


def _bulk_query() -> list[dict[str, Any]]:
    text = "`true` to validate the request without accepting it."
    fields = field_schemas(BulkRequest)
    shared = [_csv_parameter(name, fields[name]) for name in PARAMETERS]
    return [query_parameter("dry_run", text, _flag()), *shared, *_serials_query()]


def _serials_query() -> list[dict[str, Any]]:
    """Return the query parameters of the CSV form with serials in place of items."""
    text = (
        "For CSV only. Serial numbers that the service makes, in place of items: "
        "`start:count[:step]` or `random:count[:length]`, as in the JSON field. The body is then "
        "empty, and the query may also have `x_…`, an extra value of all items, and the following "
        "parameters."
    )
    serials = query_parameter("serials", text, {"type": "string", "examples": ["A0001:500"]})
    fields, found = field_schemas(BulkItem), []
    for name in SERIALS_PARAMETERS:
        schema = fields[name] | {"type": "string"}
        del schema["anyOf"], schema["default"]
        text = f"For CSV only, with `serials`. {schema.pop('description')}"
        found.append(query_parameter(name, text, schema))
    return [serials, *found]


def _flag() -> dict[str, Any]:
    return {"type": "boolean", "default": False, "examples": [True]}


def _csv_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    text = "For CSV only"
    if "default" not in schema:
        text += ", and required there"
    text += f". {schema.pop('description')}"
    # Swagger UI would send a default with JSON requests too, which must not have the parameter.
    default = schema.pop("default", None)
    if default is not None:
        text += f" Default: `{default if isinstance(default, str) else json.dumps(default)}`."
    return query_parameter(name, text, schema)


def key_paths() -> dict[str, Any]:
    """Return the paths under ``/keys/``."""
    key_id = path_parameter(
        "key_id",
        "Id of the API key, as in the list of keys.",
        {"type": "string", "pattern": "^[0-9a-z]{12}$"},
        examples.KEY_ID,
    )
    key_or_self = path_parameter(
        "key_id",
        "Id of the API key; `self` for the key of this request. Other keys are for operators only.",
        {"type": "string", "pattern": "^([0-9a-z]{12}|self)$"},
        "self",
    )
    return {
        "/keys/{key_id}/webhook-secret/": {
            "parameters": [key_or_self],
            "post": operation(
                WEBHOOKS,
                "createWebhookSecret",
                "Create a webhook secret",
                "Creates the secret that signs the webhooks of the tasks of this API key's tenant. "
                "Requests with a `callback_url` need such a secret. If the tenant already has a "
                "secret, webhooks are signed with both secrets for 24 hours, so that the receiver "
                "can change its own. The secret is shown only once.",
                responses={"201": json_response("The new secret.", "WebhookSecretResponse")},
                errors=("403", "404", "406"),
            ),
        },
        "/keys/": {
            "post": operation(
                KEYS,
                "createKey",
                "Create an API key",
                "Creates an API key with a role and rate limits. Every key belongs to a tenant: "
                "all keys of a tenant may use its tasks, and share its Idempotency-Keys and its "
                "webhook secret. Rate limits apply to each key. The token in `api_key` is shown "
                "only once.",
                responses={"201": json_response("The new key, with its token.", "NewKeyResponse")},
                errors=("400", "403", "406", "413", "415", "422"),
                requestBody=body("NewKeyRequest"),
            ),
            "get": operation(
                KEYS,
                "listKeys",
                "List API keys",
                "Lists every API key, including revoked and expired ones, without their tokens.",
                responses={"200": json_response("Every key, oldest first.", "KeyList")},
                errors=("403", "406"),
            ),
        },
        "/keys/import/": {
            "post": operation(
                KEYS,
                "importKey",
                "Import a token as an API key",
                "Creates an API key for a token that a client already has, so that the client need "
                "not change it. The service stores only a hash. A token can be imported once, "
                "even if its key is revoked: the response is then 409. The service finds "
                "repetitions in the token, but cannot check that it is random.",
                responses={"201": json_response("The new key.", "KeyResponse")},
                errors=("400", "403", "406", "409", "413", "415", "422"),
                requestBody=body("ImportKeyRequest"),
            ),
        },
        "/keys/{key_id}/rotate/": {
            "parameters": [key_id],
            "post": operation(
                KEYS,
                "rotateKey",
                "Rotate an API key",
                "Creates an API key with the name, the role, the rate limits and the tenant of "
                "this one, and has this one expire. Both keys work until then, and have the same "
                "tasks. The new key does not expire. A revoked key cannot be rotated: the response "
                "is 409.",
                responses={
                    "201": json_response("The new key, with its token.", "RotatedKeyResponse")
                },
                errors=("400", "403", "404", "406", "409", "413", "415", "422"),
                requestBody=body("RotationRequest"),
            ),
        },
        "/keys/{key_id}/": {
            "parameters": [key_id],
            "delete": operation(
                KEYS,
                "revokeKey",
                "Revoke an API key",
                "Revokes an API key permanently. Requests with its token are rejected with 401, "
                "usually within 10 seconds. Tasks in flight continue. Repeating the request "
                "changes nothing.",
                responses={"200": json_response("The revoked key.", "KeyResponse")},
                errors=("403", "404", "406"),
            ),
        },
    }


def health_paths() -> dict[str, Any]:
    """Return the paths of the health checks."""
    content = {"application/json": json_content("Health")}
    ok = {"description": "Ready.", "content": content, "headers": request_id_header()}
    unavailable = {
        "description": "At least one dependency is unavailable.",
        "content": {"application/json": json_content("Health", examples.UNAVAILABLE)},
        "headers": request_id_header(),
    }
    return {
        "/healthz": {
            "get": {
                "tags": [HEALTH],
                "operationId": "healthz",
                "summary": "Check that the process is alive",
                "description": "Responds with 200 as long as the process handles requests. Does "
                "not check Redis, S3 or the broker. For liveness probes.",
                "security": [],
                "responses": {"200": ok},
            },
        },
        "/readyz": {
            "get": {
                "tags": [HEALTH],
                "operationId": "readyz",
                "summary": "Check that the service is ready",
                "description": "Responds with 200 if Redis accepts writes and both S3 buckets and "
                "the broker are available, else with 503 and the unavailable dependencies. For "
                "readiness probes and load balancers.",
                "security": [],
                "responses": {"200": ok, "503": unavailable},
            },
        },
    }
