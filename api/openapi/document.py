"""The OpenAPI 3.1 document, made from the types that go over the wire."""

from importlib.metadata import version
from typing import Any

import msgspec

from api.openapi.paths import bulk_paths, health_paths, key_paths, symbol_paths
from api.openapi.problem_examples import problem_examples
from api.openapi.responses import ERRORS, RATE_HEADERS, REF, problem
from api.schemas import api_keys as key_schemas
from api.schemas import lists as list_schemas
from api.schemas import tasks as schemas
from api.schemas.problems import Problem
from pipeline.service import CallbackEvent

_TYPES = (
    schemas.BulkRequest,
    schemas.SymbolRequest,
    schemas.Accepted,
    schemas.DryRun,
    schemas.TaskStatus,
    list_schemas.TaskList,
    list_schemas.ChunkList,
    key_schemas.NewKeyRequest,
    key_schemas.NewKeyResponse,
    key_schemas.KeyResponse,
    key_schemas.KeyList,
    key_schemas.WebhookSecretResponse,
    CallbackEvent,
    schemas.Health,
    Problem,
)


def build_document(prefix: str, max_items: int) -> dict[str, Any]:
    """Return the document of an API at ``prefix`` that takes ``max_items`` items a request."""
    examples = problem_examples()
    _, components = msgspec.json.schema_components(_TYPES, ref_template=REF)
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
            {"name": "symbol", "description": "One symbol a request"},
            {"name": "bulk", "description": "Many symbols a request"},
            {"name": "keys", "description": "API keys, for operators"},
            {"name": "health", "description": "For load balancers"},
        ],
        "paths": symbol_paths() | bulk_paths() | key_paths() | health_paths(),
        "components": {
            "schemas": components,
            "headers": {
                name: {"description": text, "schema": {"type": "string"}}
                for name, text in RATE_HEADERS.items()
            },
            "responses": {code: problem(code, examples[code]) for code in ERRORS},
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }
