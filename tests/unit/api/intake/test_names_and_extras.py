"""Names of files, and extra values for the manifest."""

import csv
import io
import json
from functools import partial
from pathlib import PureWindowsPath
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.http.problems import ProblemError
from api.intake.file_names import check_name
from api.intake.json_items import _MOST_AT_ONCE
from pipeline.archive.member_names import member_name
from pipeline.model.jobs import JobRequest
from pipeline.model.layout import needed_version
from pipeline.model.records import JobFields
from pipeline.model.request_object import Acceptance, encode_head
from render.errors import InvalidValueError
from tests.unit.api.bulk_requests import GTIN, LIMITS, items_of, parse_bulk, parse_csv

ALLOWED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"


def as_json(items: list[dict[str, Any]], head: dict[str, Any] | None = None) -> bytes:
    return json.dumps({"gtin": GTIN, **(head or {}), "items": items}).encode()


def errors(body: bytes, chunk_size: int = 250) -> dict[str, str]:
    with pytest.raises(ProblemError) as caught:
        parse_bulk(body, LIMITS._replace(chunk_size=chunk_size))
    assert caught.value.violations is not None
    return {each.pointer: each.code for each in caught.value.violations.listed}


def files_of(request: JobRequest) -> list[str]:
    """Return the names of the files as the workers make them."""
    head, _ = encode_head(request, Acceptance("id", "key", 0, None, "name"))
    job = msgspec.convert(msgspec.to_builtins(head), JobFields)
    return [member_name(job, index, item) for index, item in enumerate(items_of(request), 1)]


def is_accepted(name: str) -> bool:
    try:
        check_name(name)
    except InvalidValueError:
        return False
    return True


# Python 3.13 has os.path.isreserved() in its place, and Python 3.11 does not.
@pytest.mark.filterwarnings("ignore:pathlib.PurePath.is_reserved:DeprecationWarning")
@given(st.text(ALLOWED, max_size=84) | st.text(max_size=5) | st.sampled_from(["com1", "LPT9.a"]))
@example("COM1.x.y")
@example("con")
@example("conin")
@example("com10")
@example("nul-1")
@example("a" * 80)
@example("a" * 81)
@example("..")
def test_a_name_is_accepted_if_it_can_be_a_file_everywhere(name: str) -> None:
    can_be = 1 <= len(name) <= 80 and {*name} <= {*ALLOWED}
    # pathlib knows the names that Windows reserves, some more of which have other characters.
    assert is_accepted(name) == (can_be and not PureWindowsPath(f"{name}.png").is_reserved())


names = st.none() | st.sampled_from(
    ["a", "A", "b", "00001", "00001_l_1", "00002_L_1", "00003_L-1", "00002", "000002", "2_L", "nul"]
)
items = st.lists(
    st.fixed_dictionaries(
        {"name": names},
        optional={"lot": st.sampled_from(["L", "l", "L/1"]), "serial": st.sampled_from(["1"])},
    ),
    min_size=1,
    max_size=6,
)


@given(items, st.integers(1, 7))
@example([{"name": None, "lot": "L", "serial": "1"}, {"name": "00001_l_1"}], 1)
@example([{"name": "00002_L_1"}, {"name": None, "lot": "L", "serial": "1"}], 1)
def test_final_names_are_unique_without_regard_to_case(
    sent: list[dict[str, Any]], chunk_size: int
) -> None:
    """A request is accepted exactly if all final names, defaults included, are different."""
    limits = LIMITS._replace(chunk_size=chunk_size)
    finals = [each["name"] or default(index, each) for index, each in enumerate(sent, 1)]
    fine = len({name.lower() for name in finals}) == len(finals) and "nul" not in finals
    body = as_json(sent)
    for parse, form in (
        *((parse_bulk, body), (parse_bulk, body + b" " * _MOST_AT_ONCE)),
        (partial(parse_csv, query=None), as_csv(sent)),
    ):
        if fine:
            assert files_of(parse(form, limits=limits)) == [f"{name}.png" for name in finals]
        else:
            with pytest.raises(ProblemError):
                parse(form, limits=limits)


def default(index: int, item: dict[str, Any]) -> str:
    parts = [f"{index:05}", *(item[name] for name in ("lot", "serial") if item.get(name))]
    return "_".join(parts).replace("/", "-")


def as_csv(sent: list[dict[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, ["name", "lot", "serial", "x_note"])
    writer.writeheader()
    writer.writerows({**item, "x_note": "so that no record is empty"} for item in sent)
    return text.getvalue().encode()


@pytest.mark.parametrize("chunk_size", [1, 2, 250])
def test_each_wrong_name_has_its_pointer(chunk_size: int) -> None:
    wrong = [
        {"name": "front"},
        {"name": "Front"},
        {"name": "a b"},
        {"name": ""},
        {"name": "x" * 81},
        {"name": "nul.1"},
        {"name": "00008_l"},
        {"lot": "L"},
        {"name": "ok"},
    ]
    assert errors(as_json(wrong), chunk_size) == {
        "/items/1/name": "duplicate_name",
        "/items/2/name": "character",
        "/items/3/name": "length",
        "/items/4/name": "length",
        "/items/5/name": "reserved_name",
        "/items/6/name": "duplicate_name",
    }
    single = as_json([{"name": "a"}, {}], {"format": "pdf", "pages": "single"})
    assert errors(single, chunk_size) == {"/items/0/name": "contradiction"}


def test_a_wrong_name_in_csv_has_its_line() -> None:
    with pytest.raises(ProblemError) as caught:
        parse_csv(b"lot,name\nL,00002_L\nL,\n")
    assert caught.value.violations is not None
    (only,) = caught.value.violations.listed
    assert (only.pointer, only.line, only.column) == ("/items/0/name", 2, 2)


def test_the_default_names_are_as_wide_as_the_number_of_items() -> None:
    limits = LIMITS._replace(max_items=100_000)
    many: list[dict[str, Any]] = [{"serial": str(index)} for index in range(100_000)]
    many[0] = {"name": "00002_1"}  # the default has six digits
    assert files_of(parse_bulk(as_json(many), limits))[:2] == ["00002_1.png", "000002_1.png"]
    many[0] = {"name": "000002_1"}
    with pytest.raises(ProblemError):
        parse_bulk(as_json(many), limits)


extras = st.dictionaries(
    st.sampled_from(["a", "b", "c_1", "_", "9"]), st.text(min_size=1, max_size=9), max_size=3
)


@given(st.lists(extras, min_size=1, max_size=6), st.integers(1, 7), st.randoms())
def test_extra_values_are_kept_whatever_the_form_and_the_chunks_are(
    sent: list[dict[str, str]], chunk_size: int, random: Random
) -> None:
    limits = LIMITS._replace(chunk_size=chunk_size)
    body = as_json([{"extra": extra} for extra in sent])
    request = parse_bulk(body, limits)
    assert [item.extra or {} for item in items_of(request)] == sent
    assert request.layout.extra_names == tuple(
        dict.fromkeys(name for each in sent for name in each)
    )
    assert needed_version(request.format, request.layout) == (3 if any(sent) else 1)
    # The order of members has no meaning.
    shuffled = [dict(random.sample([*extra.items()], len(extra))) for extra in sent]
    other = parse_bulk(as_json([{"extra": extra} for extra in shuffled]))
    assert other.meaning_sha256() == request.meaning_sha256()


def test_extra_columns_of_csv() -> None:
    request = parse_csv(b'lot;X_b;x_a;x_none\nL;;"1;2";\nM;"two\nlines";=A1;\n')
    assert [item.extra for item in items_of(request)] == [
        {"a": "1;2"},
        {"a": "=A1", "b": "two\nlines"},
    ]
    assert request.layout.extra_names == ("b", "a")  # in the order of the header
    in_json: list[dict[str, Any]] = [
        {"lot": "L", "extra": {"a": "1;2"}},
        {"lot": "M", "extra": {"a": "=A1", "b": "two\nlines"}},
    ]
    assert parse_bulk(as_json(in_json)).meaning_sha256() == request.meaning_sha256()
    for header in (b"lot,x_", b"lot,x_a b", b"lot,x_" + b"a" * 41, "lot,x_ü".encode()):
        with pytest.raises(ProblemError) as caught:
            parse_csv(header + b"\nL,1\n")
        assert caught.value.violations is not None
        (only,) = caught.value.violations.listed
        assert (only.code, only.line, only.column) == ("unknown_column", 1, 2)
    with pytest.raises(ProblemError) as caught:
        parse_csv(b"lot,x_a\nL,%s\n" % (b"v" * 201))
    assert caught.value.violations is not None
    (only,) = caught.value.violations.listed
    assert (only.pointer, only.line, only.column) == ("/items/0/extra/a", 2, 2)


@pytest.mark.parametrize("padding", [b"", b" " * _MOST_AT_ONCE])
def test_wrong_extra_values(padding: bytes) -> None:
    twenty = {f"n{index}": "" for index in range(20)}
    wrong: list[dict[str, Any]] = [
        {"extra": twenty},
        {"extra": {"one_more": ""}},
        {"extra": {"A": ""}},
        {"extra": {"": ""}},
        {"extra": {"a/b": ""}},
        {"extra": {"a" * 41: ""}},
        {"extra": {"n1": "v" * 201}},
        {"extra": {"n1": 5}},
        {"extra": {"n1": None}},
        {"extra": []},
        {"extra": {"n1": "v" * 200, "n2": "\u20ac" * 200}},
        {"extra": None},
    ]
    assert errors(as_json(wrong) + padding) == {
        "/items/1/extra/one_more": "range",
        "/items/2/extra/A": "extra_name",
        "/items/3/extra/": "extra_name",
        "/items/4/extra/a~1b": "extra_name",
        f"/items/5/extra/{'a' * 41}": "extra_name",
        "/items/6/extra/n1": "length",
        "/items/7/extra": "type",
        "/items/8/extra": "type",
        "/items/9/extra": "type",
    }
    repeated = b'{"gtin":"%s","items":[{"extra":{"a":"1","a":"2"}}]}' % GTIN.encode()
    hidden = repeated.replace(b'"a":"2"', b'"\\u0061":"2"')
    beside = repeated.replace(b"}]}", b'},{"lot":5}]}')
    for body in (repeated, hidden, beside):
        with pytest.raises(ProblemError) as caught:
            parse_bulk(body + padding)
        assert caught.value.code == "malformed_json"


def test_extra_values_of_full_length_fit_in_json_and_csv() -> None:
    value = "".join(f"\\u{0x4E00 + index:04x}" for index in range(200))
    members = ",".join(f'"{f"n{index}".ljust(40, "_")}":"{value}"' for index in range(20))
    body = f'{{"gtin":"{GTIN}","items":[{{"extra":{{{members}}}}},{{"lot":"L"}}]}}'.encode()
    request = parse_bulk(body)
    (first, _) = items_of(request)
    assert first.extra is not None
    assert [len(each) for each in first.extra.values()] == [200] * 20
    row = ",".join(["x" * 200] * 20)
    header = ",".join(f"x_{index}" for index in range(20))
    (only,) = items_of(parse_csv(f"{header}\n{row}\n".encode()))
    assert only.extra is not None
    assert len(only.extra) == 20


def test_extra_values_and_names_make_an_item_different_but_identify_nothing() -> None:
    items: list[dict[str, Any]] = [
        {"lot": "L", "extra": {"a": "1", "b": "2"}},
        {"lot": "L", "extra": {"b": "2", "a": "1"}},
        {"lot": "L", "extra": {"a": "2"}},
        {"lot": "L"},
        {"extra": {"a": "1"}},
        {"name": "n"},
    ]
    for chunk_size in (1, 250):
        request = parse_bulk(as_json(items), LIMITS._replace(chunk_size=chunk_size))
        assert {each.pointer: each.code for each in request.warnings} == {
            "/items/1": "duplicate_item",
            "/items/4": "no_identifier",
            "/items/5": "no_identifier",
        }
