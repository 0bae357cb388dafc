"""Serials that the service makes: ranges, and numbers drawn at random."""

import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from api.http.problems import ProblemError, Violations
from api.intake.bulk_request import build_job_request
from api.intake.dry_run import dry_run
from api.intake.json_items import read_json
from api.intake.serials import RandomSerials, SerialRange
from api.intake.serials_request import read_serials_query
from api.schemas.tasks import SERIAL_CHARACTERS, DryRun
from pipeline.model.jobs import JobRequest
from pipeline.model.layout import needed_version
from tests.unit.api.bulk_requests import GTIN, LIMITS, items_of, parse_bulk
from tests.unit.render.samples import CSET82

NO_DIGITS = "".join(each for each in CSET82 if not each.isdigit())


def sent(serials: object, **fields: object) -> bytes:
    return json.dumps({"gtin": GTIN, "serials": serials, **fields}).encode()


def by_query(serials: str, body: bytes = b"", /, **fields: str) -> JobRequest:
    violations = Violations()
    query = {"gtin": GTIN, "serials": serials, **fields}
    return build_job_request(
        read_serials_query(body, query, LIMITS, violations), LIMITS, violations
    )


def dry(body: bytes) -> DryRun:
    violations = Violations()
    return dry_run(read_json(body, LIMITS, violations), LIMITS, violations)


def errors(error: ProblemError) -> dict[str, str]:
    assert error.violations is not None
    return {each.pointer: each.code for each in error.violations.listed}


def serials_of(request: JobRequest) -> list[str | None]:
    return [item.serial for item in items_of(request)]


ranges = st.tuples(
    st.text(CSET82, max_size=6),
    st.text("0123456789", min_size=1, max_size=6),
    st.text(NO_DIGITS, max_size=6),
    st.integers(1, 40),
    st.integers(1, 1_000_000),
)


@given(ranges)
@example(("A", "0001", "", 500, 1))
@example(("", "9", "", 1, 999))
@example(("", "9", "", 2, 1))
@example(("A1-", "099", "-B", 10, 100))
@example(("A1-", "099", "-B", 11, 100))
def test_a_range_counts_the_last_run_of_digits_and_keeps_all_else(
    given_range: tuple[str, str, str, int, int],
) -> None:
    before, digits, after, count, step = given_range
    start = f"{before}{digits}{after}"
    *_, run = re.finditer("[0-9]+", start)  # digits before it may belong to the run
    body = sent({"start": start, "count": count, "step": step})
    last = int(run[0]) + (count - 1) * step
    if len(str(last)) > len(run[0]):
        with pytest.raises(ProblemError) as caught:
            parse_bulk(body)
        assert errors(caught.value) == {"/serials/start": "overflow"}
        return
    made = serials_of(parse_bulk(body))
    width = len(run[0])
    assert made == [
        f"{start[: run.start()]}{int(run[0]) + place * step:0{width}}{start[run.end() :]}"
        for place in range(count)
    ]
    assert made[0] == start
    assert {len(each or "") for each in made} == {len(start)}
    if ":" not in start and start != "random":
        assert serials_of(by_query(f"{start}:{count}:{step}")) == made


@given(st.integers(1, 60), st.integers(2, 20))
def test_random_serials_are_distinct_and_of_their_characters(count: int, length: int) -> None:
    made = [*RandomSerials(count, length).make()]
    assert len({*made}) == len(made) == count
    assert all(len(each) == length and {*each} <= {*SERIAL_CHARACTERS} for each in made)
    assert len({*SERIAL_CHARACTERS}) == 30


def test_all_serials_of_a_length_can_be_drawn_equally_often() -> None:
    assert {*RandomSerials(30, 1).make()} == {*SERIAL_CHARACTERS}
    assert len({*RandomSerials(900, 2).make()}) == 900
    # Of 30,000 draws each of 30 serials is drawn 1000 times, give or take 6 standard deviations.
    drawn = [next(RandomSerials(1, 1).make()) for _ in range(30_000)]
    assert all(abs(drawn.count(each) - 1000) < 190 for each in SERIAL_CHARACTERS)


def test_a_request_draws_anew_and_means_the_same() -> None:
    body = sent({"random": True, "count": 3}, lot="L")
    one, other = parse_bulk(body), by_query("random:3", lot="L")
    assert not {*serials_of(one)} & {*serials_of(other)}
    assert all(len(each or "") == 10 for each in serials_of(one))
    assert one.meaning_sha256() == other.meaning_sha256()
    for different in (
        sent({"random": True, "count": 4}, lot="L"),
        sent({"random": True, "count": 3, "length": 9}, lot="L"),
        sent({"random": True, "count": 3}, lot="M"),
    ):
        assert parse_bulk(different).meaning_sha256() != one.meaning_sha256()
    # A range is what its items are.
    in_range = parse_bulk(sent({"start": "A1", "count": 2}))
    items = [{"serial": "A1"}, {"serial": "A2"}]
    as_items = parse_bulk(json.dumps({"gtin": GTIN, "items": items}).encode())
    assert in_range.meaning_sha256() == as_items.meaning_sha256()
    assert in_range.items.chunks == as_items.items.chunks
    assert needed_version(in_range.format, in_range.layout) == 1


def test_the_items_share_every_other_field() -> None:
    shared = {
        "lot": "L",
        "expiry": "271231",
        "variant": "V",
        "best_before_date": "271130",
        "production_date": "260101",
        "packaging_date": "260102",
        "sell_by_date": "271115",
    }
    request = parse_bulk(sent({"start": "1", "count": 9}, **shared, extra={"b": "1", "a": "2"}))
    dates = shared | {"expiry": "2027-12-31"}
    assert items_of(by_query("1:9", **dates, x_b="1", x_a="2")) == items_of(request)
    assert request.layout.extra_names == ("b", "a")
    for number, item in enumerate(items_of(request), 1):
        assert item.serial == str(number)
        assert item.extra == {"a": "2", "b": "1"}
        assert {name: getattr(item, name) for name in shared} == shared
    limits = LIMITS._replace(chunk_size=4)
    in_chunks = parse_bulk(sent({"start": "1", "count": 9}, **shared), limits)
    assert [len(json.loads(chunk)) for chunk in in_chunks.items.chunks] == [4, 4, 1]


HEAD = {"gtin": GTIN}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {**HEAD, "serials": {"start": "A1", "count": 1}, "items": [{}]},
            {"/serials": "contradiction"},
        ),
        ({"serials": {"start": "A1", "count": 1}}, {"/gtin": "missing"}),
        ({**HEAD, "serials": 5}, {"/serials": "type"}),
        ({**HEAD, "serials": None}, {"/serials": "type"}),
        ({**HEAD, "serials": {}}, {"/serials/count": "missing"}),
        ({**HEAD, "serials": {"count": 1}}, {"/serials/start": "missing"}),
        ({**HEAD, "serials": {"start": "A1", "count": 0}}, {"/serials/count": "range"}),
        ({**HEAD, "serials": {"start": "A0001", "count": 5001}}, {"/serials/count": "range"}),
        ({**HEAD, "serials": {"start": "A1", "count": "1"}}, {"/serials/count": "type"}),
        (
            {**HEAD, "serials": {"start": "A1", "count": 1, "step": 0}},
            {"/serials/step": "range"},
        ),
        (
            {**HEAD, "serials": {"start": "A1", "count": 1, "length": 5}},
            {"/serials/length": "contradiction"},
        ),
        ({**HEAD, "serials": {"start": "A", "count": 1}}, {"/serials/start": "no_digits"}),
        ({**HEAD, "serials": {"start": "", "count": 1}}, {"/serials/start": "no_digits"}),
        (
            {**HEAD, "serials": {"start": "\u0661", "count": 1}},
            {"/serials/start": "no_digits"},
        ),
        ({**HEAD, "serials": {"start": "A 1", "count": 9}}, {"/serials/start": "character"}),
        (
            {**HEAD, "serials": {"start": "A" * 20 + "1", "count": 9}},
            {"/serials/start": "length"},
        ),
        ({**HEAD, "serials": {"start": "A9", "count": 2}}, {"/serials/start": "overflow"}),
        (
            {**HEAD, "serials": {"start": "A1", "count": 2, "step": 10**18}},
            {"/serials/start": "overflow"},
        ),
        (
            {**HEAD, "serials": {"random": True, "count": 1, "start": "A1"}},
            {"/serials/start": "contradiction"},
        ),
        (
            {**HEAD, "serials": {"random": True, "count": 31, "length": 1}},
            {"/serials/length": "range"},
        ),
        (
            {**HEAD, "serials": {"random": True, "count": 1, "length": 0}},
            {"/serials/length": "range"},
        ),
        (
            {**HEAD, "serials": {"random": True, "count": 1, "length": 21}},
            {"/serials/length": "range"},
        ),
        (
            {**HEAD, "serials": {"start": "A1", "count": 1, "stop": 5}},
            {"/serials/stop": "unknown_field"},
        ),
        (
            {**HEAD, "serials": {"start": "A1", "count": 9}, "serial": "1", "name": "n"},
            {"/serial": "unknown_field", "/name": "unknown_field"},
        ),
        (
            {
                "gtin": GTIN,
                "serials": {"start": "A1", "count": 9},
                "lot": "a b",
                "sell_by_date": "1",
            },
            {"/lot": "character", "/sell_by_date": "date_format"},
        ),
        (
            {**HEAD, "serials": {"start": "A1", "count": 9}, "extra": {"A": ""}},
            {"/extra/A": "extra_name"},
        ),
        (
            {
                **HEAD,
                "serials": {"start": "A1", "count": 9},
                "lot": "%" * 20,
                "variant": "%" * 20,
                "size": 50,
            },
            {"/serials": "size_too_small"},
        ),
        ({**HEAD, "items": [{}], "lot": "L"}, {"/lot": "unknown_field"}),
    ],
)
def test_each_wrong_value_is_reported_once(body: dict[str, Any], expected: dict[str, str]) -> None:
    form = json.dumps(body).encode()
    with pytest.raises(ProblemError) as caught:
        parse_bulk(form)
    assert errors(caught.value) == expected
    outcome = dry(form)
    assert {each.pointer: each.code for each in outcome.errors} == expected
    assert (outcome.would_accept, outcome.serials) == (False, UNSET)


@pytest.mark.parametrize(
    "member",
    [b'"count":1,"count":2', b'"count":1,"\\u0063ount":2'],
)
def test_a_member_that_is_repeated_is_refused(member: bytes) -> None:
    body = b'{"gtin":"%s","serials":{"start":"A1",%s}}' % (GTIN.encode(), member)
    with pytest.raises(ProblemError) as caught:
        parse_bulk(body)
    assert caught.value.code == "malformed_json"
    extra = b'{"gtin":"%s","serials":{"start":"A1","count":1},"extra":{"a":"1","a":"2"}}'
    with pytest.raises(ProblemError) as caught:
        parse_bulk(extra % GTIN.encode())
    assert caught.value.code == "malformed_json"


@pytest.mark.parametrize("text", ["", "A1", "A1:", ":5", "A1:x", "A1:5:1:1", "A1:-5", "a:1:5:1"])
def test_a_malformed_specification(text: str) -> None:
    with pytest.raises(ProblemError) as caught:
        by_query(text)
    assert errors(caught.value) == {"/serials": "serials_format"}


def test_a_query_with_serials_has_no_body() -> None:
    assert serials_of(by_query("A1:2", b"\r\n")) == ["A1", "A2"]
    with pytest.raises(ProblemError) as caught:
        by_query("A1:2", b"lot\nL\n")
    assert errors(caught.value) == {"/serials": "contradiction"}


def test_a_warning_about_what_all_items_share_is_given_once() -> None:
    request = parse_bulk(sent({"start": "1.0", "count": 9}, lot="NULL", expiry="270200"))
    assert [(each.pointer, each.code) for each in request.warnings] == [
        ("/lot", "placeholder"),
        ("/serials/start", "number_format"),
        ("/expiry", "day_zero"),
    ]
    assert request.warnings_total == 3


def test_a_dry_run_shows_examples_that_are_not_reserved() -> None:
    outcome = dry(sent({"start": "A0001", "count": 500}))
    assert (outcome.items, sum(row.count for row in outcome.symbols)) == (500, 500)
    assert outcome.serials is not UNSET
    assert outcome.serials.samples == ["A0001", "A0002", "A0003", "A0500"]
    assert outcome.serials.reserved is False
    drawn = dry(sent({"random": True, "count": 2, "length": 12}))
    assert drawn.serials is not UNSET
    assert [len(each) for each in drawn.serials.samples] == [12, 12]
    assert dry(json.dumps({"gtin": GTIN, "items": [{}]}).encode()).serials is UNSET


def test_the_last_serial_of_a_range_is_not_made_to_find_an_overflow() -> None:
    assert SerialRange("9" * 20, 10**6, 10**12).overflows
