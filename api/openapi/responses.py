"""Responses, headers and parameters that operations of the OpenAPI document share."""

from typing import Any

import msgspec

from api.http.authentication import CHALLENGES
from api.http.problems import MEDIA_TYPE
from api.openapi.response_examples import EXAMPLES
from api.schemas.tasks import MAX_WAIT, TASK_ID_EXAMPLE

REF = "#/components/schemas/{name}"
ERRORS = {
    "400": "The body is malformed: not JSON or CSV, a JSON object with a member twice, incomplete, "
    "or not valid gzip.",
    "401": "The request has no API key, an unknown, expired or revoked one, or different ones in "
    "both headers.",
    "403": "The API key does not have the role that this request needs.",
    "404": "The resource does not exist, or belongs to another tenant.",
    "406": "The `Accept` header excludes the media type of the response.",
    "409": "A request with the same `Idempotency-Key` is being processed, or the status of the "
    "task forbids this action.",
    "413": "The body is larger than the limit, which counts decompressed bytes.",
    "415": "The media type or the content coding of the body is not supported.",
    "422": "The request is well-formed but invalid. `errors` lists every invalid value.",
    "429": "The API key is over a rate limit or a limit on items, or too many of its tasks are "
    "waiting. Send the request again after `Retry-After`.",
    "503": "A dependency is unavailable. Send the request again after `Retry-After`.",
}
_ALWAYS = ("401", "429", "503")


def header(description: str, example: str) -> dict[str, Any]:
    """Return a response header."""
    return {"description": description, "schema": {"type": "string"}, "example": example}


_REQUEST_ID = "X-Request-ID"
#: Headers of every successful response, in the components of the document.
SHARED_HEADERS = {
    "RateLimit-Policy": header(
        "Rate limits of the API key: requests, and window in seconds (`w`).",
        "300;w=60, 10000;w=86400",
    ),
    "RateLimit-Limit": header(
        "Number of requests allowed per window, for the window with the fewest requests left.",
        "300",
    ),
    "RateLimit-Remaining": header("Number of requests left in this window.", "299"),
    "RateLimit-Reset": header("Seconds until the next window begins.", "42"),
    "X-RateLimit-Limit": header("The same as `RateLimit-Limit`.", "300"),
    "X-RateLimit-Remaining": header("The same as `RateLimit-Remaining`.", "299"),
    "X-RateLimit-Reset": header("Unix time when the next window begins.", "1795420842"),
    "Items-RateLimit-Policy": header(
        "Limits on the items of the API key: items, and window in seconds (`w`). This header and "
        "the next three are in responses to requests whose items count, if the key has a limit.",
        "100000;w=60, 5000000;w=86400",
    ),
    "Items-RateLimit-Limit": header(
        "Number of items allowed per window, for the window with the fewest items left.", "100000"
    ),
    "Items-RateLimit-Remaining": header("Number of items left in this window.", "95000"),
    "Items-RateLimit-Reset": header("Seconds until the next window of items begins.", "42"),
    _REQUEST_ID: header(
        "Id of the request: the one that the client sent in this header, or a new one.",
        "b1f7e1c0-2f0e-4a55-9c5e-0d9f6c3a1b42",
    ),
}
_ETAG = {
    "ETag": header(
        "Tag of the response, for `If-None-Match`.", 'W/"5f2b1c9a7e4d3086b1c2d3e4f5a60718"'
    ),
}
_RETRY_AFTER = header("Seconds to wait before the request is sent again.", "5")
#: Headers of errors by status. Errors have the rate limit headers too. The document omits these
#: headers, because ten errors per operation would repeat them.
_ERROR_HEADERS = {
    "401": {
        "WWW-Authenticate": header(
            "How to authenticate: with an API key in `X-API-Key`, or as `Authorization: Bearer`.",
            CHALLENGES,
        ),
    },
    "409": {"Retry-After": _RETRY_AFTER},
    "415": {
        "Accept-Encoding": header(
            "Supported content codings; present if the content coding was rejected.", "gzip"
        ),
    },
    "429": {"Retry-After": _RETRY_AFTER},
    "503": {"Retry-After": _RETRY_AFTER},
}


def operation(
    tag: str,
    name: str,
    summary: str,
    description: str,
    *,
    responses: dict[str, Any],
    errors: tuple[str, ...],
    **more: Any,  # noqa: ANN401 - parts of the document
) -> dict[str, Any]:
    """Return an operation.

    Args:
        tag: name of the group of operations.
        name: operation id.
        summary: what the operation does, as a short imperative phrase.
        description: further explanation, in Markdown.
        responses: responses except errors, by status.
        errors: statuses of possible errors; 401, 429 and 503 are added.
        more: further fields of the operation.
    """
    problems = {
        code: {"$ref": f"#/components/responses/{code}"} for code in sorted({*errors, *_ALWAYS})
    }
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "description": description,
        **more,
        "responses": responses | problems,
    }


def task_id_parameter() -> dict[str, Any]:
    """Return the path parameter that names a task."""
    description = "Id of the task: the `task_id` of the 202 response."
    schema = {"type": "string", "format": "uuid"}
    return path_parameter("task_id", description, schema, TASK_ID_EXAMPLE)


def path_parameter(
    name: str, description: str, schema: dict[str, Any], example: str
) -> dict[str, Any]:
    """Return the OpenAPI description of a path parameter."""
    return _parameter("path", name, description, schema | {"examples": [example]}) | {
        "required": True
    }


def header_parameter(
    name: str,
    description: str,
    example: str,
    *,
    required: bool = False,
    **rules: Any,  # noqa: ANN401 - keywords of JSON Schema
) -> dict[str, Any]:
    """Return a request header.

    Args:
        name: name of the header.
        description: what the header does.
        example: a value.
        required: whether every request has the header.
        rules: further keywords of its JSON Schema.
    """
    schema = {"type": "string", "examples": [example], **rules}
    return _parameter("header", name, description, schema) | {"required": required}


def query_parameters(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """Return the fields of ``kind`` as optional query parameters."""
    return [
        query_parameter(name, schema.pop("description"), schema)
        for name, schema in field_schemas(kind).items()
    ]


def field_schemas(kind: type[msgspec.Struct]) -> dict[str, dict[str, Any]]:
    """Return the JSON Schemas of the fields of ``kind``, by name."""
    schema = msgspec.json.schema_components([kind])[1][kind.__name__]
    return dict(schema["properties"])


def query_parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return an optional parameter in the query; its schema has an example."""
    return _parameter("query", name, description, schema)


def _parameter(place: str, name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    # Swagger UI sends the `example` of a parameter by default, so the example is in the schema.
    # Swagger UI does not show examples of schemas, so the description has the example as well.
    if "enum" not in schema and schema.get("type") != "boolean":
        description += f" Example: `{schema['examples'][0]}`."
    return {"name": name, "in": place, "description": description, "schema": schema}


def body(
    schema: str, examples: dict[str, Any] | None = None, others: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a JSON request body.

    Args:
        schema: name of the schema.
        examples: examples; default: those of the schema.
        others: contents by media type that may be sent instead of JSON.
    """
    content = {"application/json": json_content(schema, examples)}
    return {"required": True, "content": content | (others or {})}


def json_response(
    description: str,
    schema: str,
    headers: dict[str, Any] | None = None,
    examples: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a JSON response.

    Args:
        description: meaning of the response.
        schema: name of the schema.
        headers: headers in addition to those of every response.
        examples: examples; default: those of the schema.
    """
    content = {"application/json": json_content(schema, examples)}
    return response(description, content, headers)


def response(
    description: str, content: dict[str, Any], headers: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a response of any media type; ``headers`` are added to those of every response."""
    all_headers = _shared_headers() | (headers or {})
    return {"description": description, "headers": all_headers, "content": content}


def text_content(description: str, examples: dict[str, Any]) -> dict[str, Any]:
    """Return content that is text."""
    return _content({"type": "string", "description": description}, examples)


def json_content(schema: str, examples: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return content that is JSON of a schema, with ``examples`` or those of the schema."""
    return _content({"$ref": REF.format(name=schema)}, examples or EXAMPLES.get(schema))


def _content(schema: dict[str, Any], examples: dict[str, Any] | None) -> dict[str, Any]:
    return {"schema": schema} | ({"examples": examples} if examples else {})


def not_modified(description: str) -> dict[str, Any]:
    """Return the 304 response of a poll."""
    return {"description": description, "headers": _shared_headers() | _ETAG}


def _shared_headers() -> dict[str, Any]:
    return {name: header_reference(name) for name in SHARED_HEADERS}


def request_id_header() -> dict[str, Any]:
    """Return the header with the id of the request."""
    return {_REQUEST_ID: header_reference(_REQUEST_ID)}


def header_reference(name: str) -> dict[str, Any]:
    """Return a reference to one of :data:`SHARED_HEADERS`."""
    return {"$ref": f"#/components/headers/{name}"}


def accepted_headers() -> dict[str, Any]:
    """Return the headers of the response to an accepted request."""
    return {
        "Location": header("The same as `poll_url`.", f"/qr/bulk/{TASK_ID_EXAMPLE}/"),
        "Retry-After": header("Seconds to wait before the first poll.", "1"),
    }


def replayed_header() -> dict[str, Any]:
    """Return the header of the response to a repeated request."""
    text = (
        "`true` if a request with the same `Idempotency-Key` was accepted before; absent otherwise."
    )
    return {"Idempotency-Replayed": header(text, "true")}


def poll_headers() -> dict[str, Any]:
    """Return the headers of a poll's response."""
    return {
        "Retry-After": header(
            "Seconds to wait before the next poll; absent when the task has ended.", "1"
        ),
        **_ETAG,
        "Preference-Applied": header(
            "`wait=N` if the response waited for the end of the task; absent otherwise.",
            f"wait={MAX_WAIT}",
        ),
    }


def problem(code: str, examples: dict[str, Any]) -> dict[str, Any]:
    """Return the error response of a status.

    Args:
        code: HTTP status.
        examples: examples of the problem.
    """
    return {
        "description": ERRORS[code],
        "headers": request_id_header() | _ERROR_HEADERS.get(code, {}),
        "content": {MEDIA_TYPE: _content({"$ref": REF.format(name="Problem")}, examples)},
    }
