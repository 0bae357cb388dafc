"""The client's own types are those of the service and of the OpenAPI document, field by field."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest

import api.client
from api.client import errors, wire_types
from api.openapi.document import build_document
from api.schemas import api_keys, lists, problems, states, tasks
from pipeline.model import layout
from render import image

DOCUMENT = build_document("", 5000)
STRUCTS = [
    kind
    for kind in vars(wire_types).values()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct)
]
#: Types that have every field of the service's type.
COMPLETE = [kind for kind in STRUCTS if kind is not wire_types.Problem]
#: What a schema says besides names and types: texts, and limits that the service checks.
REMARKS = {
    *("title", "description", "examples", "format", "pattern"),
    *("additionalProperties", "propertyNames"),
    *("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"),
}


def service_type(kind: type[msgspec.Struct]) -> type[msgspec.Struct]:
    for module in (api_keys, lists, problems, tasks):
        found = vars(module).get(kind.__name__)
        if isinstance(found, type) and issubclass(found, msgspec.Struct):
            return found
    raise LookupError(kind.__name__)


def declaration(field: msgspec.structs.FieldInfo) -> tuple[object, ...]:
    return field.encode_name, field.required, field.default


def shape(schema: Any) -> Any:  # noqa: ANN401 - any JSON
    """A schema without remarks, its references as names."""
    if isinstance(schema, list):
        return [shape(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {}
    for key, value in schema.items():
        if key == "properties":  # whose keys are names of fields
            found[key] = {name: shape(field) for name, field in value.items()}
        elif key == "$ref":
            found[key] = value.rpartition("/")[2]
        elif key not in REMARKS:
            found[key] = shape(value)
    return found


@pytest.mark.parametrize("kind", COMPLETE)
def test_every_field_is_that_of_the_service(kind: type[msgspec.Struct]) -> None:
    theirs = service_type(kind)
    assert kind.__struct_fields__ == theirs.__struct_fields__  # the order of the JSON too
    assert kind.__struct_config__.omit_defaults == theirs.__struct_config__.omit_defaults
    assert [*map(declaration, msgspec.structs.fields(kind))] == [
        *map(declaration, msgspec.structs.fields(theirs))
    ]


@pytest.mark.parametrize("kind", COMPLETE)
def test_every_field_is_that_of_the_openapi_document(kind: type[msgspec.Struct]) -> None:
    _, ours = msgspec.json.schema_components([kind])
    theirs = DOCUMENT["components"]["schemas"]
    assert shape(ours[kind.__name__]) == shape(theirs[service_type(kind).__name__])


def test_an_error_of_the_previous_release_can_be_read_too() -> None:
    ours, theirs = (
        {field.name: field for field in msgspec.structs.fields(kind)}
        for kind in (wire_types.Problem, problems.Problem)
    )
    assert {name for name, field in ours.items() if field.required} == {"error_code", "detail"}
    assert all(theirs[name].required for name in ("error_code", "detail", "retryable"))
    _, schemas = msgspec.json.schema_components([wire_types.Problem])
    documented = DOCUMENT["components"]["schemas"]["Problem"]["properties"]
    for name, schema in schemas["Problem"]["properties"].items():
        own = shape(schema)
        if name == "retryable":  # null is only the client's default
            own = {"type": "boolean"}
            assert shape(schema)["anyOf"] == [own, {"type": "null"}]
        else:
            own.pop("default", None)
        expected = shape(documented[name])
        expected.pop("default", None)
        assert own == expected, name


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (wire_types.State, states.State),
        (wire_types.ChunkState, states.ChunkState),
        (wire_types.CallbackState, states.CallbackState),
        (wire_types.Role, states.Role),
        (wire_types.ImageFormat, image.ImageFormat),
        (wire_types.ErrorCorrection, image.ErrorCorrection),
        (wire_types.FilePages, layout.Pages),
        (wire_types.FilePages, get_type_hints(tasks.BulkRequest)["pages"]),
    ],
)
def test_states_and_other_words_are_those_of_the_service(ours: object, theirs: object) -> None:
    assert get_args(ours) == get_args(theirs)


def error_codes(node: Any) -> Iterator[str]:  # noqa: ANN401 - any JSON
    """The codes of the problems among the examples of ``node``."""
    for response in node.values():
        for content in response["content"].values():
            for example in content["examples"].values():
                yield example["value"]["error_code"]


def test_error_codes_are_those_of_the_openapi_document() -> None:
    documented = {*error_codes(DOCUMENT["components"]["responses"])}
    assert {*get_args(wire_types.ErrorCode)} == documented
    assert {errors.KEY_IN_USE, errors.NOT_POSSIBLE} <= documented
    assert errors.NOT_QRMILL not in documented


def test_options_and_filters_are_the_parameters_of_the_service() -> None:
    assert {*get_type_hints(api.client.Options)} == {*tasks.PARAMETERS} - {"gtin"}
    shared = {*get_type_hints(api.client.SubmitOptions)} - {*get_type_hints(api.client.Options)}
    assert shared == {*tasks.SHARED_ITEM_FIELDS}
    pages = {"limit", "cursor"}
    assert {*get_type_hints(api.client.Filters)} == {*lists.TasksQuery.__struct_fields__} - pages


def test_the_client_imports_nothing_of_the_service() -> None:
    for path in Path(str(api.client.__file__)).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level <= 1, path
                names = [] if node.level else [str(node.module)]
            assert not {name.partition(".")[0] for name in names} & {
                *("api", "pipeline", "render", "deploy")
            }, path
