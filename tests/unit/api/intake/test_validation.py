import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import ProblemError, Violations
from api.intake.item_batch import ITEM_FIELDS
from api.intake.validation import RequestLimits
from pipeline.service import Item
from tests.unit.api.bulk_requests import GTIN, LIMITS, items_of, parse_bulk


def body(**fields: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps({"gtin": GTIN, "items": [{}], **fields}).encode()


def violations(sent: bytes, limits: RequestLimits = LIMITS) -> Violations:
    with pytest.raises(ProblemError) as caught:
        parse_bulk(sent, limits)
    assert caught.value.status == 422
    assert caught.value.violations
    return caught.value.violations


def found(sent: bytes, limits: RequestLimits = LIMITS) -> dict[str, str]:
    return {each.pointer: each.code for each in violations(sent, limits).listed}


def test_a_valid_request_is_returned_with_its_defaults() -> None:
    items = [{"lot": "L", "serial": "007", "expiry": "270200"}, {"lot": None}, {}]
    request = parse_bulk(body(items=items), LIMITS)
    assert request.gtin == "09506000134352"
    assert items_of(request) == [Item("L", "007", "270200"), Item(), Item()]
    assert (request.format, request.size, request.error_correction) == ("png", 400, "M")


def test_three_bad_items_among_5000_are_three_pointers() -> None:
    items: list[dict[str, str]] = [{"serial": f"{index:05}"} for index in range(5000)]
    items[17]["serial"] = "a b"
    items[2500]["expiry"] = "270230"
    items[4999]["lot"] = "x" * 21
    assert found(body(items=items)) == {
        "/items/17/serial": "character",
        "/items/2500/expiry": "expiry_date",
        "/items/4999/lot": "length",
    }


def test_a_callback_url_is_kept_or_pointed_to() -> None:
    hooks = "https://hooks.example.com/qr"
    assert parse_bulk(body(), LIMITS).callback_url == ""
    assert parse_bulk(body(callback_url=None), LIMITS).callback_url == ""
    assert parse_bulk(body(callback_url=hooks), LIMITS).callback_url == hooks
    assert found(body(callback_url="http://hooks.example.com/")) == {"/callback_url": "scheme"}
    assert found(body(callback_url="https://10.0.0.1/")) == {"/callback_url": "address"}
    assert found(body(callback_url=7)) == {"/callback_url": "type"}
    assert found(body(callback_url="")) == {"/callback_url": "character"}


def test_wrong_types_and_wrong_values_are_all_found_in_one_answer() -> None:
    sent = json.dumps(
        {
            "gtin": "9506000134353",
            "items": [{"lot": 5, "serial": "a b"}, 7, {"batch": "x"}, {"expiry": "271301"}],
            "size": 20,
            "fromat": "png",
            "a/b~c": 1,
        }
    ).encode()
    assert found(sent) == {
        "/gtin": "gtin_check_digit",
        "/items/0/lot": "type",
        "/items/0/serial": "character",
        "/items/1": "type",
        "/items/2/batch": "unknown_field",
        "/items/3/expiry": "expiry_date",
        "/size": "range",
        "/fromat": "unknown_field",
        "/a~1b~0c": "unknown_field",
    }


def test_a_message_names_the_value_and_the_fix() -> None:
    said = {
        each.pointer: each.detail for each in violations(body(items=[{"lot": 5}], fromat=1)).listed
    }
    lot = "5 is not accepted. The value must be a string such as 'LOT-7' or null."
    assert said["/items/0/lot"] == lot
    assert said["/fromat"] == "There is no field 'fromat'. Did you mean 'format'?"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (body(format="gif"), "'gif' is not accepted. The value must be one of eps, pdf, png, svg."),
        (body(size="4"), "'4' is not accepted. The value must be an integer such as 400."),
        (body(items=None), "null is not accepted. The value must be an array."),
        (
            body(items=[True]),
            f"true is not a JSON object. Send an object with the fields {', '.join(ITEM_FIELDS)}.",
        ),
        (
            b'{"gtin":"9506000134352"}',
            "The required field 'items' is missing. Its value must be an array.",
        ),
    ],
)
def test_a_wrong_type_is_described_in_plain_words(sent: bytes, expected: str) -> None:
    (only,) = violations(sent).listed
    assert only.detail == expected


@pytest.mark.parametrize(
    ("sent", "pointers"),
    [
        (b"{}", {"/gtin": "missing", "/items": "missing"}),
        (b"[]", {"": "type"}),
        (b"null", {"": "type"}),
        (b'{"gtin":9506000134352,"items":[{}]}', {"/gtin": "type"}),
        (b'{"gtin":"9506000134352","items":{}}', {"/items": "type"}),
        (b'{"gtin":"9506000134352","items":null}', {"/items": "type"}),
        (b'{"gtin":"9506000134352","items":[]}', {"/items": "range"}),
        (b'{"gtin":"9506000134352","items":[{}],"size":"400"}', {"/size": "type"}),
        (b'{"gtin":"9506000134352","items":[{}],"size":400.5}', {"/size": "type"}),
        (b'{"gtin":"9506000134352","items":[{}],"size":true}', {"/size": "type"}),
        (b'{"gtin":"9506000134352","items":[{}],"format":"gif"}', {"/format": "type"}),
        (
            b'{"gtin":"9506000134352","items":[{}],"error_correction":"m"}',
            {"/error_correction": "type"},
        ),
        (b'{"gtin":"9506000134352","items":[{}],"size":49}', {"/size": "range"}),
        (b'{"gtin":"9506000134352","items":[{}],"size":2001}', {"/size": "range"}),
        (b'{"gtin":"9506000134352","items":[null]}', {"/items/0": "type"}),
        (b'{"gtin":"9506000134352","items":[{"lot":""}]}', {"/items/0/lot": "length"}),
        (b'{"gtin":"9506000134352","items":[{"lot":"a\\n"}]}', {"/items/0/lot": "character"}),
        (b'{"gtin":"9506000134352","items":[{"lot":"a\\u0000"}]}', {"/items/0/lot": "character"}),
    ],
)
def test_each_wrong_request_gets_its_pointers(sent: bytes, pointers: dict[str, str]) -> None:
    assert found(sent) == pointers


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"{",
        b'{"gtin":"1"',
        b"\xff\xfe",
        b'{"gtin":"\xff"}',
        b'{"gtin":"\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"NaN",
        b'{"gtin":"9506000134352","items":[{}],"size":1e999}',
        b'{"gtin":"9506000134352","items":[{}]} x',
    ],
)
def test_what_is_not_json_is_400(sent: bytes) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_bulk(sent, LIMITS)
    assert (caught.value.status, caught.value.code) == (400, "malformed_json")


def test_a_number_without_a_fraction_is_an_integer_and_never_a_string() -> None:
    assert parse_bulk(body().replace(b"}]", b'}], "size": 250.0'), LIMITS).size == 250
    assert found(body(items=[{"lot": 5.0}])) == {"/items/0/lot": "type"}


def test_hostile_bodies_cost_little() -> None:
    many = violations(b'{"gtin":"9506000134352","items":[' + b"0," * 999_999 + b"0]}")
    assert [(each.pointer, each.code) for each in many.listed] == [("/items", "range")]
    (gtin,) = violations(body(gtin="x" * 1_000_000)).listed
    assert len(gtin.detail) < 300
    names = {f"x{index}": 1 for index in range(20_000)}
    assert len(violations(body(items=[names]))) == 20_000


def test_only_a_string_is_too_long_for_a_field_of_strings() -> None:
    for gtin, code in (("x" * 20_000, "length"), (["x" * 20_000], "type")):
        assert found(body(gtin=gtin, size="large")) == {"/gtin": code, "/size": "type"}


def test_items_over_the_limit_are_refused() -> None:
    limits = LIMITS._replace(max_items=2)
    assert found(body(items=[{}] * 3), limits) == {"/items": "range"}
    assert parse_bulk(body(items=[{}] * 2), limits).items.count == 2


def test_the_twelve_characters_outside_set_82_are_accepted_only_when_configured() -> None:
    outside = "#$@[\\]^`{|}~"
    items = [{"lot": f"a{character}"} for character in outside]
    assert len(violations(body(items=items))) == len(outside) == 12
    accepted = parse_bulk(body(items=items), LIMITS._replace(charset="ascii"))
    assert [item.lot for item in items_of(accepted)] == [f"a{character}" for character in outside]


def test_too_small_a_size_names_the_items_and_the_least_size() -> None:
    items = [{}, {"lot": "%" * 20, "serial": "%" * 20}]
    (only,) = violations(body(items=items, size=50)).listed
    assert (only.pointer, only.code) == ("/items/1", "size_too_small")
    least = int(next(word for word in only.detail.split() if word.isdigit()))
    assert parse_bulk(body(items=items, size=least), LIMITS).size == least
    with pytest.raises(ProblemError):
        parse_bulk(body(items=items, size=least - 1), LIMITS)
    mixed = [*items, {"lot": "a b", "serial": "%" * 20}]
    assert found(body(items=mixed, size=50)) == {
        "/items/1": "size_too_small",
        "/items/2/lot": "character",
    }
    for bad, code in (
        ({"gtin": "1"}, "gtin_format"),
        ({"error_correction": "m"}, "type"),
        ({"format": "gif"}, "type"),
    ):
        (name,) = bad
        assert found(body(items=items, size=50, **bad)) == {f"/{name}": code}
    others = {"fromat": "png", "callback_url": ""}
    assert found(body(items=items, size=50, **others)) == {
        "/fromat": "unknown_field",
        "/callback_url": "character",
        "/items/1": "size_too_small",
    }
    assert parse_bulk(body(items=items, size=50, format="svg"), LIMITS).format == "svg"
    assert violations(body(items=items, size=least, error_correction="H"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=25),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "gtin": st.just(GTIN) | json_values,
        "items": st.lists(
            st.fixed_dictionaries(
                {},
                optional=dict.fromkeys(("lot", "serial", "expiry", "batch"), json_values),
            )
            | json_values,
            max_size=4,
        )
        | json_values,
        "format": st.sampled_from(["svg", "png"]) | json_values,
        "size": st.integers(40, 2100) | json_values,
        "other": json_values,
    },
)


@given(fields | json_values)
def test_any_json_is_either_accepted_or_told_what_is_wrong(value: Any) -> None:  # noqa: ANN401 - any JSON
    sent = msgspec.json.encode(value)
    refused = None
    try:
        request = parse_bulk(sent, LIMITS)
    except ProblemError as error:
        refused = error
    else:
        assert request.items.count
        assert 50 <= request.size <= 2000
    assert refused is None or (refused.status == 422 and refused.violations)
