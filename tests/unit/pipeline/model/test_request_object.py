from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.jobs import EncodedItems, Item, JobRequest
from pipeline.model.records import Idempotency, RequestTail, RequestWarning
from pipeline.model.request_object import (
    Acceptance,
    complete_head,
    decode_head,
    decode_items,
    decode_tail,
    encode_head,
    encode_tail,
    tail_offset,
)
from tests.encoded import encoded

ACCEPTANCE = Acceptance("task", "key", 1_700_000_000_000, Idempotency("a", "b"), "name")
texts = st.none() | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
items = st.builds(Item, texts, texts, st.none() | st.just("271231"))


#: A head's line as release 0.2.0 wrote it.
OF_RELEASE_0_2_0 = (
    b'{"task_id":"t","key_id":"k","key_name":"name","request_id":"r-1","accepted_at":1700000000,'
    b'"gtin":"09506000134352","format":"svg","size":400,"error_correction":"M",'
    b'"link_base":"https://a.b","items":3,"chunk_size":2,"callback_url":"https://c.d/e",'
    b'"version":1,"accepted_ms":1700000000789,"ranges":[[0,39],[39,18]],'
    b'"idempotency":{"key_sha256":"a","body_sha256":"b"}}' + b" " * 61 + b"\n"
)


def test_a_head_is_read_as_release_0_2_0_wrote_it_and_written_as_it_reads_it() -> None:
    request = JobRequest(
        gtin="09506000134352",
        items=encoded([Item("L", "S", "271231"), Item("L", "T", "271231"), Item()], 2),
        format="svg",
        size=400,
        error_correction="M",
        link_base="https://a.b",
        callback_url="https://c.d/e",
    )
    moment, idempotency = 1_700_000_000_789, Idempotency("a", "b")
    acceptance = Acceptance("t", "k", moment, idempotency, "name", "r-1")
    head, line = encode_head(request, acceptance)
    assert decode_head(OF_RELEASE_0_2_0) == head
    assert (head.accepted_at, head.created_at) == (1_700_000_000, moment)
    assert msgspec.json.decode(line) == msgspec.json.decode(OF_RELEASE_0_2_0)
    # As long, so that either may write over the other's: the ledger has the places of the items.
    assert len(line) == len(OF_RELEASE_0_2_0)


def test_a_request_keeps_the_millisecond_of_its_acceptance() -> None:
    request = JobRequest(
        gtin="09506000134352",
        items=encoded([Item()], 1),
        format="svg",
        size=400,
        error_correction="M",
        link_base="https://a.b",
    )
    acceptance = ACCEPTANCE._replace(created_at=1_700_000_000_789)
    head = decode_head(encode_head(request, acceptance)[1])
    assert (head.accepted_at, head.created_at) == (1_700_000_000, 1_700_000_000_789)


@given(st.lists(items, min_size=1, max_size=40), st.integers(1, 15))
def test_each_range_holds_the_items_of_its_chunk_and_nothing_else(
    given_items: list[Item], chunk_size: int
) -> None:
    request = JobRequest(
        gtin="09506000134352",
        items=encoded(given_items, chunk_size),
        format="svg",
        size=400,
        error_correction="H",
        link_base="https://a.b",
    )
    head, line = encode_head(request, ACCEPTANCE)
    stored = line + b"".join(request.items.chunks)
    assert decode_head(stored) == head
    read = []
    for offset, length in head.ranges:
        start = len(line) + offset
        chunk = decode_items(stored[start : start + length])
        assert len(chunk) <= chunk_size
        read += chunk
    assert read == given_items
    assert len(line) + sum(length for _, length in head.ranges) == len(stored)


def test_a_chunk_behind_a_shorter_one_or_longer_than_one_is_a_mistake() -> None:
    filled = encoded([Item()] * 5, 2)
    assert (filled.count, len(filled.chunks)) == (5, 3)
    for wrong in (filled, encoded([], 2)):
        with pytest.raises(ValueError, match="chunks have 2 items"):
            wrong.append([Item()] * 3)
    with pytest.raises(ValueError, match="after 5"):
        filled.append([Item()])


def test_rows_are_encoded_like_items() -> None:
    rows = [*product(("L", None), ('S\\"\u00e9', None), ("271231", None))]
    from_rows = EncodedItems(8)
    from_rows.append(rows)
    assert from_rows.chunks == encoded([Item(*row) for row in rows], 8).chunks
    assert b"[null,null,null]" in from_rows.chunks[0]


WARNING = RequestWarning("/items/0/lot", "placeholder", "'NULL' is probably not meant.", 2, 1)


@pytest.mark.parametrize("warnings", [(), (WARNING,), (WARNING,) * 100])
@pytest.mark.parametrize("meaning", ["", "m" * 64])
@pytest.mark.parametrize("request_id", ["", "r-1", "r" * 64])
@pytest.mark.parametrize(
    ("sent_by", "key_name"),
    [("", "name"), ("n" * 12, "name"), ("n" * 12, "another"), ("n" * 12, "\x01ü\U0001d11e" * 20)],
)
def test_the_first_line_is_as_long_whatever_the_last_line_says(
    warnings: tuple[RequestWarning, ...],
    meaning: str,
    request_id: str,
    sent_by: str,
    key_name: str,
) -> None:
    request = JobRequest(
        gtin="09506000134352",
        items=encoded([Item("L", "S", "271231"), Item("L", "T", "271231"), Item()], 2),
        format="svg",
        size=400,
        error_correction="M",
        link_base="https://a.b",
        callback_url="https://c.d/e",
        warnings=warnings,
        warnings_total=3 * len(warnings),
    )
    idempotency = Idempotency("a", "b", meaning)
    acceptance = Acceptance(
        "t", "k", 1_700_000_000_789, idempotency, key_name, request_id, sent_by, "name"
    )
    head, line = encode_head(request, acceptance)
    assert len(line) == len(OF_RELEASE_0_2_0)
    stored = line + b"".join(request.items.chunks) + encode_tail(request, acceptance)
    decoded = decode_head(stored)
    tail = decode_tail(stored[tail_offset(decoded, len(line)) :])
    assert tail == RequestTail(
        warnings=warnings,
        warnings_total=3 * len(warnings),
        meaning_sha256=meaning,
        sent_by=sent_by,
        key_name="" if key_name == "name" else key_name,
    )
    # Release 0.2.0, which reads the first line only, shows the tenant as the sender.
    assert (decoded.key_id, decoded.key_name, decoded.sent_by) == ("k", "name", "")
    assert complete_head(decoded, tail) == head
    assert (head.key_id, head.key_name, head.sent_by) == ("k", key_name, sent_by)


def test_the_first_key_of_a_tenant_writes_what_was_written_before_there_were_tenants() -> None:
    request = JobRequest(
        gtin="09506000134352",
        items=encoded([Item()], 1),
        format="svg",
        size=400,
        error_correction="M",
        link_base="https://a.b",
    )
    first = ACCEPTANCE._replace(tenant_name=ACCEPTANCE.key_name)
    assert encode_head(request, first) == encode_head(request, ACCEPTANCE)
    assert encode_tail(request, first) == encode_tail(request, ACCEPTANCE) == b""


def test_a_request_object_of_release_0_2_0_has_no_last_line() -> None:
    head = decode_head(OF_RELEASE_0_2_0)
    assert complete_head(head, decode_tail(b"")) == head


def test_the_meaning_is_that_of_the_items_and_options_alone() -> None:
    def meaning(changed: dict[str, Any]) -> str:
        values: dict[str, Any] = {
            "gtin": "09506000134352",
            "items": encoded([Item("L", "S"), Item("L", "T"), Item()], 2),
            "format": "png",
            "size": 400,
            "error_correction": "M",
            "link_base": "https://a.b",
        }
        return JobRequest(**values | changed).meaning_sha256()

    same: list[dict[str, Any]] = [
        {},
        {"items": encoded([Item("L", "S"), Item("L", "T"), Item()], 1)},
        {"items": encoded([Item("L", "S"), Item("L", "T"), Item()], 500)},
        {"link_base": "https://other.example"},
        {"warnings": (WARNING,), "warnings_total": 1},
    ]
    others: list[dict[str, Any]] = [
        {"gtin": "04006381333931"},
        {"items": encoded([Item("L", "S"), Item("L", "T")], 2)},
        {"items": encoded([Item("L", "T"), Item("L", "S"), Item()], 2)},
        {"items": encoded([Item("S", "L"), Item("L", "T"), Item()], 2)},
        {"format": "svg"},
        {"size": 401},
        {"error_correction": "Q"},
        {"callback_url": "https://c.d/e"},
    ]
    assert len({meaning(changed) for changed in same}) == 1
    assert len({meaning(changed) for changed in [{}, *others]}) == 1 + len(others)
