"""Members that an object has twice: found exactly where a slow reader of all pairs finds them."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from api.http.json_decoding import decode_fields
from api.http.json_members import distinct_names
from api.http.problems import ProblemError, Violations
from api.intake import json_items
from api.resources.symbol import parse_symbol
from api.schemas.api_keys import NewKeyRequest
from tests.unit.api.bulk_requests import GTIN, LIMITS, parse_bulk


def encode(value: Any, blanks: str) -> str:  # noqa: ANN401 - any JSON
    """JSON in which lists of pairs are objects, with ``blanks`` around every colon and comma."""
    if isinstance(value, tuple):
        pairs = (f"{key}{blanks}:{blanks}{encode(inner, blanks)}" for key, inner in value)
        return "{" + f"{blanks},{blanks}".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(encode(inner, blanks) for inner in value) + "]"
    return json.dumps(value)


def escaped(name: str) -> str:
    """The name as JSON, its first character as an escape."""
    return f'"\\u{ord(name[0]):04x}{json.dumps(name[1:])[1:]}' if name else '""'


class Fields(msgspec.Struct):
    """An object with a field that may be long, and one that may not."""

    texts: list[str] = []
    text: str = ""


names = st.sampled_from(["lot", "a:b", "a", ":", '":', "\\", "", "l\\", "\u00e9"])
keys = names.map(json.dumps) | names.map(escaped)
leaves = st.sampled_from(["", ":", '":', '"lot":1', "\\", '\\":', 1, 1.5, None, True, 10**30])
objects = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(st.tuples(keys, inner), max_size=4).map(tuple)
    ),
    max_leaves=12,
)
blank = st.sampled_from(["", " ", "\n", "\t ", "\r\n"])


def repeated(pairs: tuple[tuple[str, Any], ...]) -> bool:
    found = [json.loads(key) for key, _ in pairs]
    return len({*found}) < len(found)


@pytest.mark.parametrize("size", [10, 50_000])
def test_an_array_may_be_long_and_a_text_may_not(size: int) -> None:
    violations = Violations()
    body = json.dumps({"texts": ["x" * size], "text": "x" * size}).encode()
    found = decode_fields(body, Fields, "", violations)
    assert found["texts"] == ["x" * size]
    assert ("text" in found) == (size == 10)
    assert [each.pointer for each in violations.listed] == ([] if size == 10 else ["/text"])


@given(st.lists(st.tuples(keys, objects), max_size=5).map(tuple), blank)
@example((('"lot"', 1), ('"\\u006cot"', 2)), "")
@example((('"a:b"', 1), ('"a\\u003ab"', 2)), "")
@example((('"a:b"', (('"lot"', 1), ('"lot"', 2))),), " ")
@example((('"lot"', (('"a"', ":"),)), ('"lot"', 1)), "")
def test_a_repeated_member_is_found_if_and_only_if_there_is_one(
    pairs: tuple[tuple[str, Any], ...], blanks: str
) -> None:
    data = encode(pairs, blanks).encode()
    if not repeated(pairs):
        found = [*distinct_names(data, "/items/7")]
        assert found == [json.loads(key) for key, _ in pairs]
        return
    with pytest.raises(ProblemError) as caught:
        [*distinct_names(data, "/items/7")]
    assert (caught.value.status, caught.value.code) == (400, "malformed_json")
    assert caught.value.violations
    (only,) = caught.value.violations.listed
    assert only.pointer.startswith("/items/7/")
    assert only.code == "duplicate_member"


fields = st.sampled_from(['"lot"', '"serial"', '"expiry"', '"\\u006cot"', '"seria\\u006C"'])
values = st.sampled_from(
    ['"A"', '"A:B"', '"\\u003a"', '"\\":"', "null", '"271231"', '"lot:"', '":"', '"a\\\\"']
)
sent_items = st.lists(st.lists(st.tuples(fields, values), max_size=4), min_size=1, max_size=9)
#: Blanks before a body: a large body is decoded in batches, a small one at once.
padding = st.sampled_from(["", " " * json_items._MOST_AT_ONCE])


@given(sent_items, blank, st.integers(1, 4), padding)
@example([[('"lot"', '"A"')] * 2], "", 1, "")
@example([[('"lot"', "null"), ('"lot"', '"A"')]], "", 1, "")
@example([[('"lot"', '"A:B"'), ('"lot"', '"A"')]], "", 1, "")
@example([[('"lot"', '"\\u003a"'), ('"lot"', '"A"')]], "", 1, "")
@example([[('"lot"', '"\\u003a"'), ('"lot"', '":"')]], "", 1, "")
def test_items_are_accepted_only_if_no_member_is_repeated(
    items: list[list[tuple[str, str]]], blanks: str, chunk_size: int, before: str
) -> None:
    texts = ["{" + ",".join(f"{k}{blanks}:{blanks}{v}" for k, v in item) + "}" for item in items]
    body = f'{before}{{"gtin":"{GTIN}","items":[{",".join(texts)}]}}'.encode()
    twice = [index for index, item in enumerate(items) if repeated(tuple(item))]
    limits = LIMITS._replace(chunk_size=chunk_size)
    refused = None
    try:
        assert parse_bulk(body, limits).items.count == len(items)
    except ProblemError as error:
        refused = error
    if not twice:
        assert refused is None or refused.status == 422  # a value is invalid
        return
    assert refused is not None
    assert refused.status == 400
    assert refused.violations
    (only,) = refused.violations.listed
    assert only.pointer.startswith(f"/items/{twice[0]}/")


@pytest.mark.parametrize("before", ["", " " * json_items._MOST_AT_ONCE])
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ('{"items": [{"lot": "A"}], "gtin": "1", "items": [{"lot": "B"}]}', "/items"),
        ('{"gtin": "9506000134352", "items": [{}], "gtin": "9506000134352"}', "/gtin"),
        ('{"gtin": 1, "items": [{}], "\\u0067tin": 2}', "/gtin"),
        ('{"gtin": "1", "items": [{}], "x~/": 1, "x~/": 2}', "/x~0~1"),
        ('{"items": [], "items": 7}', "/items"),
        ('{"gtin": "1", "items": [7, 7], "items": []}', "/items"),
        ('{"gtin": "1", "items": [{}], "gtin": "\\u003a"}', "/gtin"),
        ('{"gtin": "1", "callback_url": "https:", "items": [{}], "size": 1, "size": 2}', "/size"),
        ('{"gtin": "1", "items": [{}], "format": "png", "format": "png"}', "/format"),
        ('{"gtin": "1", "items": [{}], "strict": true, "strict": false}', "/strict"),
        ('{"gtin": "1", "items": [{"lot": ":"}, {"lot": 7}], "size": 1, "size": 1}', "/size"),
        ('{"gtin": "1", "items": [{"lot": 1}, {"lot": 1, "lot": "A"}]}', "/items/1/lot"),
        ('{"gtin": "1", "items": [{"x": 1, "x": 1}]}', "/items/0/x"),
    ],
)
def test_what_is_repeated_is_named(body: str, pointer: str, before: str) -> None:
    with pytest.raises(ProblemError) as caught:
        parse_bulk(before.encode() + body.encode())
    assert (caught.value.status, caught.value.code) == (400, "malformed_json")
    assert caught.value.violations
    (only,) = caught.value.violations.listed
    assert only.pointer == pointer


def test_the_bodies_of_one_symbol_and_of_a_key_are_checked_too() -> None:
    key = b'{"name":"a","role":"client","role":"operator"}'
    with pytest.raises(ProblemError, match="'lot'"):
        parse_symbol(b'{"gtin":"9506000134352","lot":"A","lot":"B"}', LIMITS, Violations())
    with pytest.raises(ProblemError, match="'role'"):
        decode_fields(key, NewKeyRequest, "", Violations())


def test_numbers_without_end_and_deep_values_are_no_error_of_the_server() -> None:
    digits = b"1" * 100_000
    with pytest.raises(ProblemError) as caught:
        parse_bulk(b'{"a:":' + digits + b',"a:":1,"gtin":"1","items":[{}]}')
    assert caught.value.status == 400
    deep = b"[" * 900 + b"]" * 900
    with pytest.raises(ProblemError) as caught:
        parse_bulk(b'{"a:":' + deep + b',"gtin":"1","items":[{}]}')
    assert caught.value.status in {400, 422}


requests = st.lists(
    st.sampled_from(
        [
            '"gtin":"9506000134352"',
            '"gtin":"\\u003a"',
            '"items":[{"lot":"A:B"},{"serial":"\\u003a"}]',
            '"items":[]',
            '"items":[{"lot":7}]',
            '"callback_url":"https:\\/\\/hooks.example.com"',
            '"callback_url":"https://hooks.example.com:443/"',
            '"callback_url":null',
            '"format":"svg"',
            '"form\\u0061t":"png"',
            '"size" : 400',
            '"siz:e":1',
            '"strict":false',
        ]
    ),
    max_size=8,
)


@given(requests, st.integers(1, 3), padding)
def test_a_request_is_refused_with_400_if_and_only_if_a_member_is_repeated(
    members: list[str], chunk_size: int, before: str
) -> None:
    names = [
        json.loads(member.partition(":")[0] if "siz:e" not in member else '"siz:e"')
        for member in members
    ]
    status = 202
    try:
        body = f"{before}{{{','.join(members)}}}".encode()
        parse_bulk(body, LIMITS._replace(chunk_size=chunk_size))
    except ProblemError as error:
        status = error.status
    assert (status == 400) is (len({*names}) < len(names))
