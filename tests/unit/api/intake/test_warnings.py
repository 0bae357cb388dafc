"""Warnings about a request, in JSON and in CSV, with and without strict."""

import json
from typing import Any

import pytest

from api.http.problems import ProblemError, Violations
from api.intake.dry_run import dry_run
from api.intake.json_items import read_json
from api.resources.symbol import parse_symbol
from api.schemas.tasks import DryRun
from pipeline.service import JobRequest
from tests.unit.api.bulk_requests import GTIN, LIMITS, parse_bulk, parse_csv

Item = dict[str, str | None]


def body(items: list[Item], **fields: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps({"gtin": GTIN, "items": items, **fields}).encode()


def warned(request: JobRequest) -> list[tuple[str, str]]:
    assert request.warnings_total == len(request.warnings)
    return [(each.pointer, each.code) for each in request.warnings]


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
