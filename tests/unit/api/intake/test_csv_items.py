import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from api.http.problems import ProblemError
from api.schemas.problems import Violation
from pipeline.service import Item, JobRequest
from tests.unit.api.bulk_requests import GTIN, LIMITS, items_of, parse_bulk, parse_csv

HEADER = b"lot,serial,expiry\n"
COLUMNS = ("lot", "serial", "expiry")
CSET82 = "".join(c for c in map(chr, range(0x21, 0x7F)) if c not in "#$@[\\]^`{|}~")


def refused(parse: Callable[[], JobRequest]) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        parse()
    return caught.value


def violations(body: bytes, query: dict[str, str] | None = None) -> list[Violation]:
    error = refused(lambda: parse_csv(body, query))
    assert error.status == 422
    assert error.violations is not None
    assert len(error.violations) == len(error.violations.listed)
    return error.violations.listed


def found(body: bytes, query: dict[str, str] | None = None) -> list[tuple[Any, ...]]:
    return [(each.pointer, each.code, each.line, each.column) for each in violations(body, query)]


texts = st.none() | st.text(CSET82, min_size=1, max_size=20)
valid_items = st.lists(
    st.fixed_dictionaries(
        {"lot": texts, "serial": texts, "expiry": st.sampled_from([None, "271231", "280200"])}
    ),
    min_size=1,
    max_size=12,
)


dialects = st.fixed_dictionaries(
    {
        "fieldnames": st.permutations(COLUMNS).flatmap(
            lambda columns: st.integers(1, 3).map(lambda width: columns[:width])
        ),
        "lineterminator": st.sampled_from(["\n", "\r\n", "\r"]),
        "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    }
)


@given(valid_items, dialects, st.sampled_from([b"", b"\xef\xbb\xbf"]), st.integers(1, 5))
def test_what_a_csv_writer_writes_is_what_json_says(
    items: list[dict[str, str | None]], dialect: dict[str, Any], mark: bytes, chunk_size: int
) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, extrasaction="ignore", **dialect)
    writer.writeheader()
    writer.writerows(items)
    body = mark + text.getvalue().encode()
    kept = [{name: item[name] for name in dialect["fieldnames"]} for item in items]
    while kept and not any(kept[-1].values()):  # CSV has no item without values
        kept.pop()
    assume(kept and all(any(item.values()) for item in kept))
    limits = LIMITS._replace(chunk_size=chunk_size)
    expected = parse_bulk(json.dumps({"gtin": GTIN, "items": kept}).encode(), limits)
    parsed = parse_csv(body, limits=limits)
    assert items_of(parsed) == items_of(expected)
    assert parsed.items.chunks == expected.items.chunks
    without_last_end = body.removesuffix(dialect["lineterminator"].encode())
    assert parse_csv(without_last_end, limits=limits).items.chunks == expected.items.chunks


queries = st.fixed_dictionaries(
    {},
    optional={
        "gtin": st.sampled_from([GTIN, "9506000134353", "1", "", "\uff19506000134352"]),
        "format": st.sampled_from(["svg", "png", "gif", ""]),
        "error_correction": st.sampled_from(["L", "H", "m"]),
        "size": st.sampled_from([50, 400, 49, 2001]),
    },
)
#: Whether a text is a date or a wrapped text that only the CSV form converts.
FOR_CSV_ALONE = re.compile(r'[0-9]{4}(-?)[0-9]{2}\1[0-9]{2}|=".*"', re.DOTALL).fullmatch
any_texts = st.none() | st.text(max_size=22).filter(bool)
any_items = st.lists(
    st.fixed_dictionaries(dict.fromkeys(COLUMNS, any_texts)).filter(
        lambda item: any(item.values()) and not any(map(FOR_CSV_ALONE, filter(None, item.values())))
    ),
    max_size=6,
)


@given(queries, any_items)
@example({"gtin": GTIN, "size": 50}, [{"lot": "%" * 20, "serial": "%" * 20, "expiry": None}])
@example({"gtin": GTIN}, [{"lot": "a\r\nb", "serial": '"', "expiry": "\0"}])
@example({"gtin": GTIN}, [])
def test_both_forms_come_to_the_same_verdict(
    query: dict[str, Any], items: list[dict[str, str | None]]
) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(items)
    try:
        body = text.getvalue().encode()
    except UnicodeEncodeError:  # a lone surrogate is neither UTF-8 nor JSON
        return
    sent = json.dumps({**query, "items": items}).encode()
    as_text = {name: str(value) for name, value in query.items()}
    in_json = verdict(lambda: parse_bulk(sent))
    assert in_json == verdict(lambda: parse_csv(body, as_text))


def verdict(parse: Callable[[], JobRequest]) -> list[Any]:
    """What is accepted; or what is wrong, but for the lines that only CSV has."""
    try:
        return [*parse().items.chunks]
    except ProblemError as error:
        listed = error.violations.listed if error.violations else []
        return sorted((each.pointer, each.code, each.detail) for each in listed)


def test_an_iso_date_is_the_only_difference_between_the_forms() -> None:
    assert items_of(parse_csv(b"expiry\n2027-12-31\n")) == [Item(expiry="271231")]
    assert found_in_json("2027-12-31") == ["expiry_format"]


def found_in_json(expiry: str) -> list[str]:
    body = json.dumps({"gtin": GTIN, "items": [{"expiry": expiry}]}).encode()
    error = refused(lambda: parse_bulk(body))
    assert error.violations
    return [each.code for each in error.violations.listed]


def test_every_bad_value_has_its_line_and_column() -> None:
    body = b'serial,lot\nok,"a\nb"\nok,ok\n"a b",ok\nok\nok,ok,ok\n\nx,' + b"y" * 21 + b"\n"
    assert found(body) == [
        ("/items/3", "fields", 6, 2),
        ("/items/4", "fields", 7, 3),
        ("/items/5", "empty_record", 8, None),
        ("/items/0/lot", "character", 2, 2),
        ("/items/2/serial", "character", 5, 1),
        ("/items/6/lot", "length", 9, 2),
    ]


def test_a_bad_value_behind_the_first_chunk_has_its_line_and_index() -> None:
    rows = [b"L,%05d,271231\r\n" % index for index in range(1000)]
    rows[777] = b"L,00777,270230\r\n"
    assert found(b"lot,serial,expiry\r\n" + b"".join(rows)) == [
        ("/items/777/expiry", "expiry_date", 779, 3)
    ]


def test_items_with_a_wrong_iso_date_are_not_compared_with_others() -> None:
    assert found(b"lot,expiry\nL,2027-02-30\nL,2027-02-31\n", {"gtin": GTIN, "strict": "true"}) == [
        ("/items/0/expiry", "expiry_date", 2, 2),
        ("/items/1/expiry", "expiry_date", 3, 2),
    ]


def test_too_small_a_size_names_the_line() -> None:
    body = HEADER + b"A,,\n" + b"%" * 20 + b"," + b"%" * 20 + b",\n"
    query = {"gtin": GTIN, "size": "50"}
    assert found(body, query) == [("/items/1", "size_too_small", 3, None)]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"lot,batches", [("/items", "unknown_column", 1, 2)]),
        (b"lot,lot", [("/items", "duplicate_column", 1, 2)]),
        (b"Batch, LOT ", [("/items", "duplicate_column", 1, 2)]),
        (b"sn,serial", [("/items", "duplicate_column", 1, 2)]),
        (b"lot;serial", [("/items/0", "fields", 2, 2)]),
        (b"lot,", [("/items/0", "unnamed_column", 2, 2)]),
        (b",lot", [("/items/0", "unnamed_column", 2, 1)]),
        (b"lot\0,serial", [("/items", "unknown_column", 1, 1)]),
        (b"x,y", [("/items", "unknown_column", 1, 1), ("/items", "unknown_column", 1, 2)]),
    ],
)
def test_wrong_columns_are_named(header: bytes, expected: list[tuple[Any, ...]]) -> None:
    assert found(header + b"\nA,B\n") == expected


def test_a_hostile_header_costs_little() -> None:
    assert refused(lambda: parse_csv(b"," * 1000 + b"\nA\n")).code == "malformed_csv"
    assert found(b"x," * 999 + b"x\nA\n") == [
        ("/items", "range", 1, None),
        ("/items/0", "fields", 2, 2),
    ]


def test_a_mistyped_column_gets_a_hint() -> None:
    (only,) = violations(b"serail\nA\n")
    assert "'serial'" in only.detail


@pytest.mark.parametrize("body", [HEADER, HEADER.rstrip()])
def test_a_header_alone_has_no_items(body: bytes) -> None:
    assert found(body) == [("/items", "range", None, None)]


def test_items_over_the_limit_are_refused_without_reading_on() -> None:
    limits = LIMITS._replace(max_items=3, chunk_size=2)
    assert parse_csv(HEADER + b"A,,\n" * 3, limits=limits).items.count == 3
    error = refused(lambda: parse_csv(HEADER + b"A,,\n" * 5 + b'"', limits=limits))
    assert error.violations is not None
    assert [each.pointer for each in error.violations.listed] == ["/items"]


@pytest.mark.parametrize(
    ("body", "line", "word"),
    [
        (b"", 1, "header"),
        (b"\n", 1, "header"),
        (b"\xef\xbb\xbf", 1, "header"),
        (HEADER + b'A,B,\n"A,B,', 3, "never closed"),
        (HEADER + b'"' + b"x" * 140_000 + b'",,\n', 2, "16384 characters"),
        (HEADER + b'"A"B,,\n', 2, "quote"),
        (HEADER + b"A,B,\r\nA,\xff,\r\n", 3, "0xFF"),
        (b"\xff\xfel\0o\0t\0\n\0A", 2, "UTF-16"),
        (b"\xff\xfel\0o\0t\0\r\0\n\0A\0\n\0\0\xd8\n\0", 3, "UTF-16"),
        (HEADER + b"A,B,\n" * 5000 + b"A,\xc3", 5002, "0xC3"),
    ],
)
def test_what_is_not_csv_is_400_with_its_line(body: bytes, line: int, word: str) -> None:
    error = refused(lambda: parse_csv(body))
    assert (error.status, error.code) == (400, "malformed_csv")
    assert word in error.detail
    assert error.violations is not None
    (only,) = error.violations.listed
    assert only.line == line


def test_wrong_parameters_have_the_pointers_of_the_json_form() -> None:
    query = {"gtin": "1", "format": "gif", "size": "4OO", "error_correction": "m"}
    assert found(HEADER + b"A,,\n", query) == [
        ("/format", "type", None, None),
        ("/size", "type", None, None),
        ("/error_correction", "type", None, None),
        ("/gtin", "gtin_format", None, None),
    ]
    assert found(HEADER + b"A,,\n", {}) == [("/gtin", "missing", None, None)]
