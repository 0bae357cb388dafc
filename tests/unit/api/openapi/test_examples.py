"""The examples of the OpenAPI document are what the service takes and says."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from api.http.problems import Violations
from api.openapi.document import build_document
from api.openapi.problem_examples import problem_examples
from api.openapi.request_examples import BULK_CSV, BULK_JSON, DRY_RUN, SERIALS_JSON, SYMBOL
from api.resources.symbol import parse_symbol
from tests.unit.api.bulk_requests import LIMITS, parse_bulk, parse_csv

DOCUMENT = build_document("", 5000)


def contents(node: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON
    """Everything in the document that has a schema and examples."""
    if isinstance(node, dict):
        if isinstance(node.get("examples"), dict):
            yield node
        for inner in node.values():
            yield from contents(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from contents(inner)


def test_every_example_fits_its_schema() -> None:
    seen = 0
    for content in contents(DOCUMENT):
        validator = Draft202012Validator({**DOCUMENT, **content["schema"]})
        for example in content["examples"].values():
            validator.validate(example["value"])
            seen += 1
    assert seen > 45


def test_an_example_of_chunks_is_a_list_of_one_job() -> None:
    lists = [
        example["value"]["chunks"]
        for content in contents(DOCUMENT)
        for example in content["examples"].values()
        if isinstance(example["value"], dict) and isinstance(example["value"].get("chunks"), list)
    ]
    assert lists
    for chunks in lists:
        assert [chunk["index"] for chunk in chunks] == [*range(len(chunks))]
        assert [chunk["first_item"] for chunk in chunks[1:]] == [
            chunk["last_item"] + 1 for chunk in chunks[:-1]
        ]


@pytest.mark.parametrize("example", [*BULK_JSON.values()])
def test_bulk_examples_are_accepted(example: dict[str, Any]) -> None:
    value = example["value"]
    assert parse_bulk(msgspec.json.encode(value)).items.count == len(value["items"])


@pytest.mark.parametrize("example", [*SERIALS_JSON.values()])
def test_serials_examples_are_accepted(example: dict[str, Any]) -> None:
    assert parse_bulk(msgspec.json.encode(example["value"])).items.count == 500


@pytest.mark.parametrize("example", [*BULK_CSV.values()])
def test_csv_examples_are_accepted(example: dict[str, Any]) -> None:
    assert parse_csv(example["value"].encode()).items.count == 2


@pytest.mark.parametrize("example", [*SYMBOL.values()])
def test_symbol_examples_are_accepted(example: dict[str, Any]) -> None:
    violations = Violations()
    _, uri = parse_symbol(msgspec.json.encode(example["value"]), LIMITS, violations)
    assert not violations
    assert uri.startswith("https://id.gs1.org/01/09506000134352")


def test_every_error_of_an_operation_has_examples() -> None:
    for code, response in DOCUMENT["components"]["responses"].items():
        (content,) = response["content"].values()
        for example in content["examples"].values():
            assert example["value"]["status"] == int(code)


def test_a_dry_run_shows_the_invalid_value_that_a_rejection_shows() -> None:
    rejected = problem_examples()["422"]["csv"]["value"]
    assert DRY_RUN["invalid"]["value"]["errors"] == rejected["errors"]
