"""Responses, headers and parameters that operations of the OpenAPI document share."""

from typing import Any

import msgspec

from api.http.problems import MEDIA_TYPE
from api.openapi.response_examples import EXAMPLES

REF = "#/components/schemas/{name}"
ERRORS = {
    "400": "The body is neither JSON nor CSV, breaks off, or its gzip is damaged",
    "401": "No API key, or an unknown one",
    "403": "The key does not have the role",
    "404": "There is no such thing that this key may see",
    "406": "The client does not accept the answer's media type",
    "409": "The key is in use by a request in flight, or the task's state forbids this",
    "413": "The body is over the limit, or inflates beyond it",
    "415": "The body's media type or content coding is none that this takes",
    "422": "Well-formed, but not a valid request; `errors` lists every bad value",
    "429": "The key is over its rate",
    "503": "The queue or the store is out of reach, or too much waits; nothing was accepted",
}
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds to wait before the next poll; absent when the task has ended",
        "schema": {"type": "string"},
    },
}
_ETAG = {"ETag": {"description": "Of the answer", "schema": {"type": "string"}}}
_APPLIED = {
    "Preference-Applied": {
        "description": "`wait=N` when it was waited for the end",
        "schema": {"type": "string"},
    },
}
_ALWAYS = ("401", "429", "503")
RATE_HEADERS = {
    "RateLimit-Policy": "The key's windows, such as `300;w=60, 10000;w=86400`",
    "RateLimit-Limit": "Requests that the window nearest to its end allows",
    "RateLimit-Remaining": "Requests left in it",
    "RateLimit-Reset": "Seconds until it starts anew",
    "X-RateLimit-Limit": "As RateLimit-Limit",
    "X-RateLimit-Remaining": "As RateLimit-Remaining",
    "X-RateLimit-Reset": "When it starts anew, Unix time",
    "X-Request-ID": "The request's id: the client's own, or a new one",
}


def operation(
    tag: str,
    name: str,
    summary: str,
    responses: dict[str, Any],
    errors: tuple[str, ...],
    **more: Any,  # noqa: ANN401 - parts of the document
) -> dict[str, Any]:
    """Return an operation.

    Args:
        tag: groups the operations of the document.
        name: operation id.
        summary: of the operation.
        responses: besides errors, by status.
        errors: statuses of the errors that the operation may respond with besides 401, 429 and 503.
        more: further fields of the operation.
    """
    refused = {
        code: {"$ref": f"#/components/responses/{code}"} for code in sorted({*errors, *_ALWAYS})
    }
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        **more,
        "responses": responses | refused,
    }


def path_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter in the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def query_parameters(kind: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """Return the query parameters that are the fields of ``kind``."""
    (schema,) = msgspec.json.schema_components([kind])[1].values()
    return [_field_parameter(name, field) for name, field in schema["properties"].items()]


def _field_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    description, example = schema.pop("description"), schema.pop("examples", None)
    return query_parameter(name, description, schema) | ({"example": example[0]} if example else {})


def query_parameter(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return an optional parameter in the query."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


def body(
    schema: str, examples: dict[str, Any] | None = None, others: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a JSON request body, which may be sent as one of ``others`` instead."""
    content = {"application/json": json_content(schema, examples)}
    return {"required": True, "content": content | (others or {})}


def json_response(
    text: str,
    schema: str,
    headers: dict[str, Any] | None = None,
    examples: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Return a JSON response with the rate headers."""
    content = {"application/json": json_content(schema, examples)}
    return response(text, content, headers)


def response(
    text: str, content: dict[str, Any], headers: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return a response of any media type with the rate headers."""
    return {"description": text, "headers": _rate_headers() | (headers or {}), "content": content}


def text_content(description: str, examples: dict[str, Any]) -> dict[str, Any]:
    """Return content that is text."""
    return _content({"type": "string", "description": description}, examples)


def json_content(schema: str, examples: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return content that is JSON of a schema, with ``examples`` or those of the schema."""
    return _content({"$ref": REF.format(name=schema)}, examples or EXAMPLES.get(schema))


def _content(schema: dict[str, Any], examples: dict[str, Any] | None) -> dict[str, Any]:
    return {"schema": schema} | ({"examples": examples} if examples else {})


def not_modified(text: str) -> dict[str, Any]:
    """Return the 304 response of a poll."""
    return {"description": text, "headers": _rate_headers() | _ETAG}


def _rate_headers() -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in RATE_HEADERS}


def accepted_headers() -> dict[str, Any]:
    """Return the headers of an accepted request."""
    return _RETRY_AFTER | {"Location": {"description": "As poll_url", "schema": {"type": "string"}}}


def poll_headers() -> dict[str, Any]:
    """Return the headers of a poll's response."""
    return _RETRY_AFTER | _ETAG | _APPLIED


def callbacks() -> dict[str, Any]:
    """Return what is sent to a request's ``callback_url``."""
    headers = {
        "webhook-id": "Id of the event, the same in every attempt",
        "webhook-timestamp": "When this attempt was made, in seconds since the epoch",
        "webhook-signature": "`v1,` and Base64 of an HMAC-SHA256; several with spaces between",
    }
    post = {
        "summary": "The task has ended. Sent again until the answer is 2xx, for 24 hours",
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
            }
            for name, text in headers.items()
        ],
        "requestBody": body("CallbackEvent"),
        "responses": {
            "2XX": {"description": "Delivered"},
            "410": {"description": "Not wanted any more: it is not sent again"},
        },
    }
    return {"ended": {"{$request.body#/callback_url}": {"post": post}}}


def problem(code: str, examples: dict[str, Any]) -> dict[str, Any]:
    """Return the response that is the error of a status, with ``examples``."""
    schema = {"$ref": REF.format(name="Problem")}
    found = {"description": ERRORS[code], "content": {MEDIA_TYPE: _content(schema, examples)}}
    if code == "415":
        text = "The content codings that are taken, when it was another"
        header = {"description": text, "schema": {"type": "string"}}
        found["headers"] = {"Accept-Encoding": header}
    return found
