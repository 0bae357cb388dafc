"""How responses of two APIs are compared, without the APIs."""

import json

import httpx2
import pytest

from deploy.compare_apis import Exchange, compare, shape, summarize


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": 1, "b": {"c": None}}, {"a": "integer", "b.c": "null"}),
        ([{"x": "1"}, {"y": True}], {"": "array", "[].x": "string", "[].y": "boolean"}),
        ({"items": []}, {"items": "array"}),
        ({"items": [[1.5]]}, {"items": "array", "items[]": "array", "items[][]": "number"}),
        # Values by which programs decide are compared as well.
        ({"status": "pending"}, {"status": '"pending"'}),
        (
            {"error": {"code": "CONFLICT", "status": 409}},
            {"error.code": '"CONFLICT"', "error.status": "409"},
        ),
    ],
)
def test_a_shape_is_the_types_by_path(value: object, expected: dict[str, str]) -> None:
    assert dict(shape(value)) == expected


def test_what_is_gone_or_changed_differs_and_what_is_new_is_an_addition() -> None:
    original = Exchange(200, {"etag": "present", "allow": "GET"}, {"a": "string", "b": "null"})
    new = Exchange(404, {"allow": "POST", "location": "present"}, {"b": "string", "c": "array"})
    assert compare(original, new) == (
        [
            "status: 200, new 404",
            "header allow: GET, new POST",
            "header etag: present, new absent",
            "member a: string, new absent",
            "member b: null, new string",
        ],
        ["header location: present", "member c: array"],
    )
    assert compare(original, original) == ([], [])


@pytest.mark.parametrize(
    ("content", "media_type", "expected"),
    [
        (json.dumps({"a": 1}).encode(), "application/problem+json", {"a": "integer"}),
        (b"{", "application/json", {"": "not JSON"}),
        (b"", "application/json", {}),
        (b"\x89PNG", "image/png", {}),
    ],
)
def test_only_json_has_a_shape(content: bytes, media_type: str, expected: dict[str, str]) -> None:
    response = httpx2.Response(200, content=content, headers={"Content-Type": media_type})
    assert summarize(response) == (200, {"content-type": media_type}, expected)
