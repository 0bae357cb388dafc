"""Everything in the OpenAPI document has a description, and every value an example."""

import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator

from api.openapi.document import build_document
from render.image import MEDIA_TYPES

DOCUMENT = build_document("", 5000)
METHODS = ("get", "put", "post", "delete", "patch")
#: Limits of the fields that decide the size of images in print.
PRINT = {"version": (1, 40), "xdim_mm": (0.1, 5.0), "dpi": (72, 2400)}
Named = tuple[str, dict[str, Any]]


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    """The node, or the component that it refers to."""
    if set(node) != {"$ref"}:
        return node
    found: Any = DOCUMENT
    for name in node["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return resolve(found)


def items_of(paths: dict[str, Any]) -> Iterator[Named]:
    """Path items, those of callbacks included."""
    for path, item in paths.items():
        yield path, item
        for method in METHODS:
            for callback in item.get(method, {}).get("callbacks", {}).values():
                yield from items_of(callback)


ITEMS = [*items_of(DOCUMENT["paths"])]
OPERATIONS = [
    (f"{method.upper()} {path}", item[method])
    for path, item in ITEMS
    for method in METHODS
    if method in item
]
PARAMETERS = [
    (f"{where} {parameter['name']}", parameter)
    for where, holder in [*ITEMS, *OPERATIONS]
    for parameter in holder.get("parameters", [])
]
RESPONSES = [
    (f"{name} {status}", resolve(response))
    for name, operation in OPERATIONS
    for status, response in operation["responses"].items()
] + [*DOCUMENT["components"]["responses"].items()]
HEADERS = [
    (f"{where} {name}", resolve(header))
    for where, response in RESPONSES
    for name, header in response.get("headers", {}).items()
] + [*DOCUMENT["components"]["headers"].items()]
FIELDS = [
    (f"{name}.{field}", schema)
    for name, component in DOCUMENT["components"]["schemas"].items()
    for field, schema in component["properties"].items()
]


def is_described(node: dict[str, Any]) -> bool:
    """Whether the description is there, and made of whole sentences or phrases."""
    text: str = node.get("description", "")
    return (text[:1].isupper() or text.startswith("`")) and text.endswith((".", "```\n"))


def has_example(node: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Whether the node or its schema has an example; each has to fit the schema."""
    examples = [node["example"]] if "example" in node else schema.get("examples", [])
    validator = Draft202012Validator({**DOCUMENT, **schema})
    return bool(examples) and all(map(validator.is_valid, examples))


def undescribed(found: list[Named]) -> list[str]:
    return [name for name, node in found if not is_described(node)]


def test_the_walk_finds_what_is_there() -> None:
    assert len(OPERATIONS) == 16
    assert len(PARAMETERS) >= 25
    assert len(HEADERS) >= 90
    assert len(FIELDS) >= 80
    assert not is_described({"description": "lower case"})
    assert not has_example({}, {"type": "string"})
    assert not has_example({"example": 1}, {"type": "string"})


def test_every_field_has_a_description_and_an_example() -> None:
    assert undescribed(FIELDS) == []
    assert [name for name, schema in FIELDS if not has_example(schema, schema)] == []


def test_every_parameter_and_header_has_a_description_and_an_example() -> None:
    found = PARAMETERS + HEADERS
    assert undescribed(found) == []
    assert [name for name, node in found if not has_example(node, node["schema"])] == []


def test_every_schema_response_and_group_has_a_description() -> None:
    schemas = [*DOCUMENT["components"]["schemas"].items()]
    tags = [(tag["name"], tag) for tag in DOCUMENT["tags"]]
    assert undescribed(schemas + RESPONSES + tags) == []


def test_every_operation_has_a_group_a_summary_and_a_description() -> None:
    assert undescribed(OPERATIONS) == []
    summaries = [node["summary"] for _, node in OPERATIONS]
    assert [text for text in summaries if not re.fullmatch(r"[A-Z][\w ]{5,40}", text)] == []
    tags = [tag for _, node in OPERATIONS for tag in node["tags"]]
    assert len(tags) == len(OPERATIONS)
    assert {*tags} == {tag["name"] for tag in DOCUMENT["tags"]}


def test_the_introduction_explains_every_step() -> None:
    text = DOCUMENT["info"]["description"]
    for word in ("up to 5000 items", "POST /qr/bulk/", "download_url", "Idempotency-Key", "429"):
        assert word in text
    assert "{" not in text.replace("{task_id}", "")


def test_a_size_that_is_left_out_differs_from_the_default_size_of_a_png() -> None:
    """A program that fills in defaults must not turn the one into the other."""
    schemas = DOCUMENT["components"]["schemas"]
    single = schemas["SymbolRequest"]["properties"]["size"]
    assert "default" not in single
    assert "size" not in schemas["SymbolRequest"]["required"]
    assert (single["type"], single["minimum"], single["maximum"]) == ("integer", 50, 2000)
    assert "Default: 400 for PNG" in single["description"]
    assert schemas["BulkRequest"]["properties"]["size"]["default"] == 400


def test_the_fields_for_print_state_their_limits_and_defaults() -> None:
    for name in ("BulkRequest", "SymbolRequest"):
        fields = DOCUMENT["components"]["schemas"][name]["properties"]
        limits = {field: (fields[field]["minimum"], fields[field]["maximum"]) for field in PRINT}
        assert limits == PRINT
        assert {each["default"] for each in map(fields.get, PRINT)} == {None}
        assert "0.495 for the other formats" in fields["xdim_mm"]["description"]
        assert "Default: 300 with `xdim_mm`" in fields["dpi"]["description"]
    parameters = {each["name"] for each in DOCUMENT["paths"]["/qr/bulk/"]["post"]["parameters"]}
    assert parameters >= {*PRINT, "pages", "datamerge"}


def test_a_symbol_is_described_in_every_format() -> None:
    image = DOCUMENT["paths"]["/qr/"]["post"]["responses"]["200"]
    assert {*image["content"]} == {*MEDIA_TYPES.values()}
    for name in ("BulkRequest", "SymbolRequest", "TaskSummary"):
        fields = DOCUMENT["components"]["schemas"][name]["properties"]
        assert {*fields["format"]["enum"]} == {*MEDIA_TYPES}
    text = DOCUMENT["info"]["description"]
    for word in (
        *MEDIA_TYPES,
        "xdim_mm",
        "dpi",
        "version",
        "datamerge",
        "xdim_below",
        "xdim_above",
    ):
        assert f"`{word}`" in text
