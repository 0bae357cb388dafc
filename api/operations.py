"""The pieces of which the OpenAPI document's operations are made."""

from typing import Any

from api.problems import MEDIA_TYPE

REF = "#/components/schemas/{name}"
ERRORS = {
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
    answers: dict[str, Any],
    errors: tuple[str, ...],
    **more: Any,  # noqa: ANN401 - parts of the document
) -> dict[str, Any]:
    """Return an operation that answers as ``answers`` say, or refuses with one of ``errors``."""
    refused = {
        code: {"$ref": f"#/components/responses/{code}"} for code in sorted({*errors, *_ALWAYS})
    }
    return {
        "tags": [tag], "operationId": name, "summary": summary, **more,
        "responses": answers | refused,
    }  # fmt: skip


def path_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a parameter that stands in the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def body(schema: str) -> dict[str, Any]:
    """Return a JSON request body."""
    content = {"application/json": {"schema": {"$ref": REF.format(name=schema)}}}
    return {"required": True, "content": content}


def answer(text: str, schema: str, headers: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a JSON answer that carries the rate headers."""
    shared = {name: {"$ref": f"#/components/headers/{name}"} for name in RATE_HEADERS}
    return {
        "description": text,
        "headers": shared | (headers or {}),
        "content": {"application/json": {"schema": {"$ref": REF.format(name=schema)}}},
    }


def accepted_headers() -> dict[str, Any]:
    """Return the headers of an accepted request."""
    return poll_headers() | {
        "Location": {"description": "As poll_url", "schema": {"type": "string"}}
    }


def poll_headers() -> dict[str, Any]:
    """Return the headers of a poll's answer."""
    text = "Seconds to wait before the next poll; absent when the task has ended"
    return {"Retry-After": {"description": text, "schema": {"type": "string"}}}


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
            {"name": name, "in": "header", "required": True, "description": text,
             "schema": {"type": "string"}}
            for name, text in headers.items()
        ],
        "requestBody": body("CallbackEvent"),
        "responses": {
            "2XX": {"description": "Delivered"},
            "410": {"description": "Not wanted any more: it is not sent again"},
        },
    }  # fmt: skip
    return {"ended": {"{$request.body#/callback_url}": {"post": post}}}


def problem(text: str) -> dict[str, Any]:
    """Return an answer that is an error."""
    schema = {"$ref": REF.format(name="Problem")}
    return {"description": text, "content": {MEDIA_TYPE: {"schema": schema}}}
