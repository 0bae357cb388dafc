"""Fields of an item beyond lot, serial and expiry: GTIN, dates and variant."""

import csv
import io
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import ProblemError
from api.intake.item_batch import ITEM_FIELDS
from api.intake.json_items import _MOST_AT_ONCE
from pipeline.model.jobs import Item, JobRequest
from pipeline.model.layout import needed_version
from tests.unit.api.bulk_requests import GTIN, LIMITS, items_of, parse_bulk, parse_csv

OTHER = "0614141123452"
OTHER_14 = "00614141123452"
DATES = ("expiry", "production_date", "packaging_date", "best_before_date", "sell_by_date")

values = {
    "lot": st.sampled_from(["L", "A:B", "a,b"]),
    "serial": st.sampled_from(["S1", "S2", "007"]),
    "gtin": st.sampled_from([GTIN, OTHER, "614141-123452"]),
    "variant": st.sampled_from(["2A", "B/C"]),
    **dict.fromkeys(DATES, st.sampled_from(["271231", "280200"])),
}
many_items = st.lists(
    st.fixed_dictionaries({}, optional={name: st.none() | each for name, each in values.items()}),
    min_size=1,
    max_size=7,
)


def as_json(items: list[dict[str, Any]]) -> bytes:
    return json.dumps({"gtin": GTIN, "items": items}).encode()


def as_csv(items: list[dict[str, str | None]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, [*values])
    writer.writeheader()
    writer.writerows(items)
    return text.getvalue().encode()


def errors(body: bytes) -> dict[str, str]:
    with pytest.raises(ProblemError) as caught:
        parse_bulk(body)
    assert caught.value.violations is not None
    return {each.pointer: each.code for each in caught.value.violations.listed}


def codes(request: JobRequest) -> dict[str, str]:
    return {each.pointer: each.code for each in request.warnings}


@given(items=many_items, chunk_size=st.integers(1, 8))
def test_both_forms_in_chunks_of_any_size_mean_the_same(
    items: list[dict[str, str | None]], chunk_size: int
) -> None:
    limits = LIMITS._replace(chunk_size=chunk_size)
    in_csv = [{**item, "lot": item.get("lot") or "x"} for item in items]  # no record is empty
    one, other = parse_bulk(as_json(in_csv), limits), parse_csv(as_csv(in_csv), limits=limits)
    assert one.items.chunks == other.items.chunks
    assert one.layout == other.layout
    assert one.meaning_sha256() == other.meaning_sha256()
    assert one.meaning_sha256() == parse_bulk(as_json(in_csv)).meaning_sha256()
    large = parse_bulk(as_json(in_csv) + b" " * _MOST_AT_ONCE, limits)
    assert large.items.chunks == one.items.chunks
    for item, found in zip(in_csv, items_of(one), strict=True):
        gtin = OTHER_14 if item.get("gtin") not in {None, GTIN} else None
        assert msgspec.structs.asdict(found) == {**dict.fromkeys(ITEM_FIELDS), **item, "gtin": gtin}


def test_a_job_without_new_fields_stays_as_it_was() -> None:
    plain = parse_bulk(as_json([{"lot": "L"}, {"serial": "S"}]))
    written_out = parse_bulk(
        as_json([dict.fromkeys(ITEM_FIELDS) | {"lot": "L", "gtin": GTIN}, {"serial": "S"}])
    )
    in_each = parse_csv(f"gtin,lot,serial\n{GTIN},L,\n{GTIN},,S\n".encode(), {})
    for request in (plain, written_out, in_each):
        assert request.items.chunks == [b'[["L",null,null],[null,"S",null]]']
        assert request.meaning_sha256() == plain.meaning_sha256()
        assert needed_version(request.format, request.layout) == 1


@pytest.mark.parametrize("field", ["gtin", "variant", *DATES[1:]])
def test_a_job_with_a_new_field_is_left_alone_by_older_workers(field: str) -> None:
    value = {"gtin": OTHER, "variant": "2A"}.get(field, "271231")
    request = parse_bulk(as_json([{}, {field: value}]))
    assert request.layout.item_fields == (field,)
    assert needed_version(request.format, request.layout) == 3


def test_the_request_needs_no_gtin_if_every_item_has_one() -> None:
    items = [{"gtin": OTHER, "lot": "L"}, {"gtin": GTIN}]
    request = parse_bulk(json.dumps({"items": items}).encode())
    assert request.gtin == OTHER_14
    assert items_of(request) == [Item(lot="L"), Item(gtin=f"0{GTIN}")]
    escaped = json.dumps({"items": items}).replace('"gtin"', '"\\u0067tin"').encode()
    assert items_of(parse_bulk(escaped)) == items_of(request)
    assert request.warnings == ()  # an item with a GTIN of its own is no leftover


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"items": [{}, {"lot": "L"}]}, {"/gtin": "missing"}),
        ({"items": [{"gtin": None}]}, {"/gtin": "missing"}),
        ({"gtin": None, "items": [{}]}, {"/gtin": "missing"}),
        (
            {"items": [{"gtin": OTHER}, {"lot": "L"}, {"gtin": "1"}]},
            {"/items/1/gtin": "missing", "/items/2/gtin": "gtin_format"},
        ),
        ({"gtin": "1", "items": [{"gtin": OTHER}]}, {"/gtin": "gtin_format"}),
        ({"items": [{"gtin": 5}]}, {"/items/0/gtin": "type"}),
        ({"gtin": GTIN, "items": [{"gtin": "12345679"}]}, {"/items/0/gtin": "gtin_check_digit"}),
        ({"gtin": GTIN, "items": [{"variant": "a b"}]}, {"/items/0/variant": "character"}),
        ({"gtin": GTIN, "items": [{"variant": ""}]}, {"/items/0/variant": "length"}),
        ({"gtin": GTIN, "items": [{"variant": "v" * 21}]}, {"/items/0/variant": "length"}),
        (
            {"gtin": GTIN, "items": [{"sell_by_date": "271301"}]},
            {"/items/0/sell_by_date": "date_value"},
        ),
        (
            {"gtin": GTIN, "items": [{"best_before_date": "2027-12-31"}]},
            {"/items/0/best_before_date": "date_format"},
        ),
        ({"gtin": GTIN, "lot": "L", "items": [{}]}, {"/lot": "unknown_field"}),
    ],
)
def test_wrong_values(body: dict[str, Any], expected: dict[str, str]) -> None:
    assert errors(json.dumps(body).encode()) == expected


def test_a_variant_has_set_82_whatever_the_charset_of_lot_and_serial_is() -> None:
    limits = LIMITS._replace(charset="ascii")
    assert parse_bulk(as_json([{"lot": "#"}]), limits).warnings_total == 1
    with pytest.raises(ProblemError):
        parse_bulk(as_json([{"variant": "#"}]), limits)


def test_columns_have_aliases_and_iso_dates() -> None:
    header = "GTIN;Best  Before;Production date;Packaging Date;SELL BY;Variant;sn"
    body = f"{header}\n{OTHER};2027-12-31;260101;20260102;;V;1\n".encode()
    request = parse_csv(body)
    assert items_of(request) == [
        Item(
            serial="1",
            gtin=OTHER_14,
            best_before_date="271231",
            production_date="260101",
            packaging_date="260102",
            variant="V",
        )
    ]
    # A column without values is no field of the job.
    assert "sell_by_date" not in request.layout.item_fields
    with pytest.raises(ProblemError) as caught:
        parse_csv(b"lot,best before\nL,2027-02-30\n")
    assert caught.value.violations is not None
    (only,) = caught.value.violations.listed
    assert (only.pointer, only.code, only.line, only.column) == (
        *("/items/0/best_before_date", "date_value"),
        *(2, 2),
    )


def test_a_csv_of_gtins_without_one_names_its_line() -> None:
    with pytest.raises(ProblemError) as caught:
        parse_csv(f"gtin,lot\n{OTHER},L\n,M\n".encode(), {})
    assert caught.value.violations is not None
    (only,) = caught.value.violations.listed
    assert (only.pointer, only.code, only.line) == ("/items/1/gtin", "missing", 3)


def test_warnings_look_at_all_identifiers() -> None:
    items = [
        {"serial": "S", "gtin": OTHER},
        {"serial": "S"},
        {"serial": "S", "gtin": f"0{OTHER}"},
        {"serial": "S", "gtin": GTIN},
        {"variant": ".."},
        {"variant": "NULL"},
        {"variant": "1234.0"},
        {"best_before_date": "270200"},
        {},
        {"gtin": "2000000000008"},
        {"gtin": OTHER},
        {"gtin": OTHER},
    ]
    assert codes(parse_bulk(as_json(items))) == {
        "/items/2/serial": "duplicate_serial",
        "/items/3/serial": "duplicate_serial",
        "/items/4/variant": "dot_segment",
        "/items/5/variant": "placeholder",
        "/items/6/variant": "number_format",
        "/items/7/best_before_date": "day_zero",
        "/items/8": "no_identifier",
        "/items/9/gtin": "gtin_restricted",
        "/items/11": "duplicate_item",
    }
    # The same, whatever the chunks are.
    for chunk_size in (1, 2, 5):
        limits = LIMITS._replace(chunk_size=chunk_size)
        assert codes(parse_bulk(as_json(items), limits)) == codes(parse_bulk(as_json(items)))


def test_a_request_with_every_field_in_every_item_is_not_too_large() -> None:
    item = dict.fromkeys(DATES, "271231") | {"lot": ",,", "serial": "S", "variant": ","}
    items = [{**item, "gtin": OTHER, "serial": f"S{index}"} for index in range(LIMITS.max_items)]
    assert parse_bulk(as_json(items)).items.count == LIMITS.max_items
    # More items than are allowed are still refused without decoding them.
    assert errors(as_json([item] * (3 * LIMITS.max_items))) == {"/items": "range"}


@pytest.mark.parametrize(
    "kind", [{"items": [{"lot": "A"}]}, {"serials": {"start": "1", "count": 1}}]
)
@pytest.mark.parametrize("gtin", [{}, {"gtin": None}, {"gtin": 5}])
@pytest.mark.parametrize("unknown", [0, 99, 100, 101])
def test_the_gtin_counts_once_however_many_errors_are_listed(
    kind: dict[str, Any], gtin: dict[str, Any], unknown: int
) -> None:
    body = kind | gtin | {f"unknown{number}": 1 for number in range(unknown)}
    with pytest.raises(ProblemError) as raised:
        parse_bulk(json.dumps(body).encode())
    assert raised.value.violations is not None
    assert len(raised.value.violations) == unknown + 1
