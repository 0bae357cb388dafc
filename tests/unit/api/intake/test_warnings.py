"""Warnings: each rule with the values next to it, in JSON and in CSV, with and without strict."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import ProblemError, Violations
from api.intake.dry_run import dry_run
from api.intake.json_items import read_json
from api.resources.symbol import parse_symbol
from api.schemas.tasks import DryRun
from pipeline.service import JobRequest
from tests.unit.api.bulk_requests import GTIN, LIMITS, parse_bulk, parse_csv

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


@pytest.mark.parametrize(
    ("gtin", "codes"),
    [
        ("01234565", ["gtin8_restricted"]),
        ("0123-4565", ["gtin8_restricted"]),
        ("20000004", ["gtin8_restricted"]),
        ("96385074", []),
        ("0000001234565", ["gtin_restricted"]),
        ("2001234567893", ["gtin_restricted"]),
        ("200000000004", ["gtin_restricted"]),
        ("020000000008", []),  # 002 as a GTIN-13
        ("9506000134352", []),
    ],
)
def test_a_gtin_for_internal_use_is_warned_of(gtin: str, codes: list[str]) -> None:
    request = parse_bulk(body([{}], gtin=gtin))
    assert warned(request) == [("/gtin", code) for code in codes]


def test_a_missing_or_wrong_gtin_is_one_error_and_no_warning() -> None:
    for sent, code in (
        ({"items": [{}]}, "missing"),
        ({"gtin": 7, "items": [{}]}, "type"),
        ({"gtin": "00000000", "items": [{}]}, "gtin_zeros"),
        ({"gtin": "01234566", "items": [{}]}, "gtin_check_digit"),
    ):
        found = tried({**sent, "strict": True})
        assert [(each.pointer, each.code) for each in found.errors] == [("/gtin", code)]
        assert found.warnings_total == 0


def tried(sent: dict[str, Any]) -> DryRun:
    violations = Violations()
    return dry_run(read_json(json.dumps(sent).encode(), LIMITS, violations), LIMITS, violations)


def test_a_csv_warning_has_its_line_and_column() -> None:
    rows = b'sep=;\nexpiry;serial;"lot\n"\n271231;A;L\n271200;A;NULL\n271231;B;L\n;A;M\n'
    request = parse_csv(rows)
    found = [(each.pointer, each.code, each.line, each.column) for each in request.warnings]
    assert found == [
        ("/items/1/lot", "placeholder", 5, 3),
        ("/items/1/expiry", "day_zero", 5, 1),
        ("/items/1/serial", "duplicate_serial", 5, 2),
        ("/items/3/serial", "duplicate_serial", 7, 2),
    ]


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (b"lot\nA;B;271231\n", True),
        (b"lot\nA;B;271231\nC;D;271231\n", True),
        (b"serial\nA;B\nC;D\n", True),
        (b"lot,\nA;B,\nC;D,\n", True),
        (b'sep=;\nlot\n"A,B"\n"C,D"\n', True),
        (b"lot\nA;B;271231\nC;D\n", False),
        (b"lot\nA;B\nC\n", False),
        (b"lot\nA\nB\n", False),
        (b'lot\n"A,B"\n', False),
        (b"lot,serial\nA;B,1\nC;D,2\n", False),
        (b"lot\nA:B\nC:D\n", False),
    ],
)
@pytest.mark.parametrize("chunk_size", [1, 250])
def test_values_that_all_have_as_many_separators_are_warned_of(
    rows: bytes, chunk_size: int, *, found: bool
) -> None:
    request = parse_csv(rows, limits=LIMITS._replace(chunk_size=chunk_size))
    header = 2 if rows.startswith(b"sep") else 1
    expected = [("/items", "separator_in_value", header, 1)] if found else []
    assert [(w.pointer, w.code, w.line, w.column) for w in request.warnings] == expected


def test_100_warnings_are_listed_and_all_are_counted() -> None:
    items: list[Item] = [{"serial": "A", "lot": "nan", "expiry": "271200"}] * 700
    request = parse_bulk(body(items))
    assert len(request.warnings) == 100
    assert request.warnings_total == 700 + 700 + 699


def test_strict_turns_every_warning_into_an_error_of_the_same_code() -> None:
    items: list[Item] = [{"serial": "A", "lot": "nan"}, {"serial": "A", "expiry": "271200"}, {}]
    plain = parse_bulk(body(items))
    with pytest.raises(ProblemError) as caught:
        parse_bulk(body(items, strict=True))
    assert caught.value.status == 422
    assert caught.value.violations
    assert [(each.pointer, each.code, each.detail) for each in caught.value.violations.listed] == [
        (each.pointer, each.code, each.detail) for each in plain.warnings
    ]
    assert parse_bulk(body([{"serial": "A"}], strict=True)).warnings_total == 0
    many: list[Item] = [{"serial": "A"}] * 500
    with pytest.raises(ProblemError) as caught:
        parse_bulk(body(many, strict=True))
    assert caught.value.violations
    assert (len(caught.value.violations.listed), len(caught.value.violations)) == (100, 499)


def test_a_strict_dry_run_would_not_accept_and_still_counts_the_symbols() -> None:
    sent = {"gtin": "01234565", "items": [{"serial": "A"}, {"serial": "A"}]}
    plain, strict = tried(sent), tried({**sent, "strict": True})
    assert (plain.would_accept, plain.errors_total, plain.warnings_total) == (True, 0, 2)
    assert (strict.would_accept, strict.errors_total, strict.warnings_total) == (False, 2, 0)
    assert [each.code for each in strict.errors] == ["gtin8_restricted", "duplicate_serial"]
    assert plain.symbols == strict.symbols


def test_a_dry_run_warns_of_the_valid_items_of_an_invalid_request() -> None:
    items = [{"serial": "a b"}, {"serial": "A"}, {"lot": 5}, {"serial": "A"}, {"serial": "a b"}]
    found = tried({"gtin": GTIN, "items": items})
    assert [each.pointer for each in found.warnings] == ["/items/3/serial"]
    assert found.errors_total == 3
    alone = tried({"gtin": GTIN, "items": [{}, {"lot": "a b"}]})
    assert [each.code for each in alone.warnings] == ["no_identifier"]


def test_strict_in_the_query_of_csv() -> None:
    rows = b"serial\nA\nA\n"
    assert parse_csv(rows, {"gtin": GTIN, "strict": "false"}).warnings_total == 1
    with pytest.raises(ProblemError) as caught:
        parse_csv(rows, {"gtin": GTIN, "strict": "true"})
    assert caught.value.violations
    assert [each.code for each in caught.value.violations.listed] == ["duplicate_serial"]
    with pytest.raises(ProblemError) as caught:
        parse_csv(rows, {"gtin": GTIN, "strict": "yes"})
    assert caught.value.violations
    assert [each.pointer for each in caught.value.violations.listed] == ["/strict"]


def test_strict_for_a_single_symbol() -> None:
    def parse(**fields: Any) -> None:  # noqa: ANN401 - any JSON
        sent = json.dumps({"gtin": GTIN, **fields}).encode()
        parse_symbol(sent, LIMITS, Violations())

    parse(lot="nan")
    parse(strict=True)
    parse(lot="A", strict=True)
    for fields, pointer in (({"lot": "nan"}, "/lot"), ({"gtin": "01234565"}, "/gtin")):
        with pytest.raises(ProblemError) as caught:
            parse(strict=True, **fields)
        assert caught.value.violations
        assert [each.pointer for each in caught.value.violations.listed] == [pointer]
