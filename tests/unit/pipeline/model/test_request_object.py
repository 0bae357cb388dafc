import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.model.jobs import Item, JobRequest
from pipeline.model.records import Idempotency
from pipeline.model.request_object import Acceptance, decode_head, decode_items, encode_head
from tests.encoded import encoded

ACCEPTANCE = Acceptance("task", "key", 1_700_000_000, Idempotency("a", "b"))
texts = st.none() | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
items = st.builds(Item, texts, texts, st.none() | st.just("271231"))


def test_a_request_of_before_there_were_callbacks_or_milliseconds_has_none() -> None:
    line = (
        b'{"task_id":"t","key_id":"k","accepted_at":1700000000,"gtin":"09506000134352",'
        b'"format":"svg","size":400,"error_correction":"M","link_base":"https://a.b","items":1,'
        b'"chunk_size":1,"version":1,"ranges":[[0,16]],"idempotency":null}\n'
    )
    head = decode_head(line)
    assert (head.callback_url, head.created_at) == ("", 1_700_000_000_000)


def test_a_request_keeps_the_millisecond_of_its_acceptance() -> None:
    request = JobRequest(
        gtin="09506000134352",
        items=encoded([Item()], 1),
        format="svg",
        size=400,
        error_correction="M",
        link_base="https://a.b",
    )
    acceptance = ACCEPTANCE._replace(accepted_ms=1_700_000_000_789)
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
        with pytest.raises(ValueError, match="not the next chunk"):
            wrong.append([Item()] * 3)
    with pytest.raises(ValueError, match="behind 5"):
        filled.append([Item()])


def test_a_request_object_of_before_request_ids_is_read() -> None:
    request = JobRequest(
        gtin="09506000134352",
        items=encoded([Item()], 10),
        format="svg",
        size=400,
        error_correction="M",
        link_base="https://a.b",
    )
    head, line = encode_head(request, ACCEPTANCE._replace(request_id="r-1"))
    assert head.request_id == "r-1"
    older = line.replace(b'"request_id":"r-1",', b"")
    assert older != line
    assert decode_head(older).request_id == ""
