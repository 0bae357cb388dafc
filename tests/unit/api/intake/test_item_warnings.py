"""Warnings about items: each rule with the values next to it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.service import JobRequest
from tests.unit.api.bulk_requests import GTIN, LIMITS, parse_bulk

ASCII = LIMITS._replace(charset="ascii")
Item = dict[str, str | None]


def body(items: list[Item], **fields: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps({"gtin": GTIN, "items": items, **fields}).encode()


def warned(request: JobRequest) -> list[tuple[str, str]]:
    assert request.warnings_total == len(request.warnings)
    return [(each.pointer, each.code) for each in request.warnings]


def about(*items: Item, limits: Any = LIMITS) -> list[tuple[str, str]]:  # noqa: ANN401 - limits
    return warned(parse_bulk(body([*items]), limits))


def about_text(value: str, limits: Any = ASCII) -> set[str]:  # noqa: ANN401 - limits
    """The codes about a value, which are the same for a lot and a serial."""
    codes: dict[str, set[str]] = {}
    for field in ("lot", "serial"):
        found = about({field: value}, limits=limits)
        assert all(pointer == f"/items/0/{field}" for pointer, _ in found)
        codes[field] = {code for _, code in found}
    assert codes["lot"] == codes["serial"]
    return codes["lot"]


@pytest.mark.parametrize("value", ["NULL", "null", "Null", "nan", "NaN", "None", "NONE"])
def test_placeholders_are_warned_of_in_any_case(value: str) -> None:
    assert about_text(value, LIMITS) == {"placeholder"}


def test_not_available_is_a_placeholder_outside_set_82() -> None:
    assert about_text("#N/A") == {"placeholder", "outside_set82"}
    assert about_text("#n/a") == {"placeholder", "outside_set82"}


@pytest.mark.parametrize(
    "value", ["NULLS", "N", "NA", "nano", "None1", "nil", "0", "-", "N/A", "undefined", "1NULL"]
)
def test_what_only_resembles_a_placeholder_is_not_warned_of(value: str) -> None:
    assert about_text(value) == set()


@pytest.mark.parametrize(
    "value",
    [
        "9.5E+12",
        "9.5e+12",
        "9,5E+12",
        "1E+16",
        "1e-05",
        "9.5E12",
        "1234.0",
        "1234.00",
        "1234,0",
        "0.0",
        "-1.0",
        "1.50E+3",
        "1.00E+12",
        "+1E+05",
        "9E-10",
    ],
)
def test_reformatted_numbers_are_warned_of(value: str) -> None:
    assert about_text(value, LIMITS) == {"number_format"}


@pytest.mark.parametrize(
    "value",
    [
        "1E5A",
        "1E5",
        "12E12",
        "1234",
        "1234.5",
        "1.2.0",
        "1,234",
        "E+12",
        "9.5E+",
        "9.5E+1A",
        "A1234.0",
        "1234.0A",
        "1234.",
        ".0",
        "1+2",
        "0012",
        "LOT-7",
        "1-1",
        "1.0.0",
        "--1.0",
        "01.0",
        "00.00",
        "24E-15",
        "12E+3",
        "7E-1",
        "9E12",
    ],
)
def test_what_only_resembles_a_number_is_not_warned_of(value: str) -> None:
    assert about_text(value) == set()


def test_dots_alone_are_warned_of() -> None:
    assert about_text(".") == about_text("..") == {"dot_segment"}
    for other in ("...", ".a", "a.", "a..", ".-."):
        assert about_text(other) == set()


def test_characters_outside_set_82_are_warned_of_if_they_are_accepted() -> None:
    for character in "#$@[\\]^`{|}~":
        assert about_text(f"a{character}") == {"outside_set82"}
    assert about_text("!\"%&'()*+,-./_:;<=>?") == set()


def test_day_zero_is_warned_of() -> None:
    assert about({"expiry": "271200"}) == [("/items/0/expiry", "day_zero")]
    assert about({"expiry": "271210"}) == about({"expiry": "201001"}) == []


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 250])
def test_an_item_without_anything_is_warned_of_among_others(chunk_size: int) -> None:
    limits = LIMITS._replace(chunk_size=chunk_size)
    assert about({}, limits=limits) == []
    assert about({"lot": None}, limits=limits) == []
    first, last = ("/items/0", "no_identifier"), ("/items/2", "no_identifier")
    assert about({}, {"lot": "A"}, limits=limits) == [first]
    assert about({"lot": "A"}, {"serial": "B"}, {}, limits=limits) == [last]
    assert about({"lot": "A"}, {"serial": "B"}, {"expiry": "271231"}, limits=limits) == []
    assert set(about({}, {"lot": "A"}, {}, limits=limits)) == {
        first,
        last,
        ("/items/2", "duplicate_item"),
    }


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 250])
def test_a_repeated_serial_names_the_first(chunk_size: int) -> None:
    limits = LIMITS._replace(chunk_size=chunk_size)
    items: list[Item] = [
        {"serial": "A", "lot": "1"},
        {"serial": "B"},
        {"lot": "A"},
        {"serial": "A", "lot": "2"},
        {"serial": "a"},
        {"serial": "A", "lot": "1"},
    ]
    request = parse_bulk(body(items), limits)
    assert warned(request) == [
        ("/items/3/serial", "duplicate_serial"),
        ("/items/5/serial", "duplicate_serial"),
    ]
    assert all("/items/0/serial" in each.detail for each in request.warnings)


@pytest.mark.parametrize("chunk_size", [1, 2, 3, 250])
def test_an_item_without_serial_that_equals_another_names_the_first(chunk_size: int) -> None:
    limits = LIMITS._replace(chunk_size=chunk_size)
    items: list[Item] = [
        {"lot": "A"},
        {"lot": "B"},
        {"lot": "A", "expiry": "271231"},
        {"lot": "A", "serial": "1"},
        {"lot": "A", "serial": None},
        {"expiry": "271231"},
        {"lot": "A", "expiry": "271231"},
    ]
    request = parse_bulk(body(items), limits)
    assert warned(request) == [("/items/4", "duplicate_item"), ("/items/6", "duplicate_item")]
    for warning, first in zip(request.warnings, ("/items/0.", "/items/2."), strict=True):
        assert first in warning.detail


@given(
    st.lists(
        st.fixed_dictionaries(
            dict.fromkeys(("lot", "serial", "expiry"), st.sampled_from([None, "271231", "280101"]))
        ),
        min_size=2,
        max_size=12,
    ),
    st.integers(1, 5),
)
def test_repetitions_are_those_that_a_loop_finds(items: list[Item], chunk_size: int) -> None:
    expected = set()
    for index, item in enumerate(items):
        for earlier in items[:index]:
            if item["serial"] and item["serial"] == earlier["serial"]:
                expected.add((f"/items/{index}/serial", "duplicate_serial"))
            if not item["serial"] and item == earlier:
                expected.add((f"/items/{index}", "duplicate_item"))
        if not any(item.values()):
            expected.add((f"/items/{index}", "no_identifier"))
    found = about(*items, limits=LIMITS._replace(chunk_size=chunk_size))
    assert len(found) == len({*found})
    assert {*found} == expected
