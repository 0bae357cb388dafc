"""The OpenAPI 3.1 document, generated from the types of requests and responses."""

from importlib.metadata import version
from typing import Any

import msgspec

from api.openapi.overview import TAGS, overview
from api.openapi.paths import bulk_paths, health_paths, key_paths, symbol_paths
from api.openapi.problem_examples import problem_examples
from api.openapi.responses import ERRORS, REF, SHARED_HEADERS, problem
from api.openapi.webhook import describe_event
from api.schemas import api_keys as key_schemas
from api.schemas import lists as list_schemas
from api.schemas import tasks as schemas
from api.schemas.problems import Problem
from pipeline.service import CallbackEvent

_TYPES = (
    schemas.BulkRequest,
    schemas.SerialsRequest,
    schemas.SymbolRequest,
    schemas.Accepted,
    schemas.DryRun,
    schemas.TaskStatus,
    list_schemas.TaskList,
    list_schemas.ChunkList,
    key_schemas.NewKeyRequest,
    key_schemas.ImportKeyRequest,
    key_schemas.RotationRequest,
    key_schemas.NewKeyResponse,
    key_schemas.RotatedKeyResponse,
    key_schemas.KeyResponse,
    key_schemas.KeyList,
    key_schemas.WebhookSecretResponse,
    CallbackEvent,
    schemas.Health,
    Problem,
)


def build_document(prefix: str, max_items: int) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        prefix: prefix of the API's paths.
        max_items: maximum number of items per request.
    """
    examples = problem_examples()
    _, components = msgspec.json.schema_components(_TYPES, ref_template=REF)
    components["BulkRequest"]["properties"]["items"] |= {"minItems": 1, "maxItems": max_items}
    components["Serials"]["properties"]["count"]["maximum"] = max_items
    describe_event(components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "qrmill",
            "version": version("qrmill"),
            "summary": "GS1 Digital Link QR codes in bulk.",
            "description": overview(max_items),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": prefix or "/", "description": "This service."}],
        "security": [{"ApiKey": []}, {"Bearer": []}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": bulk_paths() | symbol_paths() | key_paths() | health_paths(),
        "components": {
            "schemas": components,
            "headers": SHARED_HEADERS,
            "responses": {code: problem(code, examples[code]) for code in ERRORS},
            "securitySchemes": {
                "ApiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "Your API key, a token such as `qrmill_4f9k2m7q1x8z_…`. An "
                    "operator creates it with `POST /keys/`.",
                },
                "Bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The same API key, as `Authorization: Bearer KEY`.",
                },
            },
        },
    }
