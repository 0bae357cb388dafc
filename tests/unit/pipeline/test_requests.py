from hypothesis import given
from hypothesis import strategies as st

from pipeline.jobs import Idempotency, Item, JobRequest
from pipeline.requests import Acceptance, decode_head, decode_items, encode_request

ACCEPTANCE = Acceptance("task", "key", 1_700_000_000, Idempotency("a", "b"))
texts = st.none() | st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)
items = st.builds(Item, texts, texts, st.none() | st.just("271231"))


@given(st.lists(items, min_size=1, max_size=40), st.integers(1, 15))
def test_each_range_holds_the_items_of_its_chunk_and_nothing_else(
    given_items: list[Item], chunk_size: int
) -> None:
    request = JobRequest(
        gtin="09506000134352",
        items=given_items,
        format="svg",
        size=400,
        error_correction="H",
        link_base="https://a.b",
    )
    head, line, body = encode_request(request, ACCEPTANCE, chunk_size)
    stored = line + body
    assert decode_head(stored) == head
    read = []
    for offset, length in head.ranges:
        start = len(line) + offset
        chunk = decode_items(stored[start : start + length])
        assert len(chunk) <= chunk_size
        read += chunk
    assert read == given_items
    assert sum(length for _, length in head.ranges) == len(body)


def test_a_request_object_of_before_request_ids_is_read() -> None:
    request = JobRequest(
        gtin="09506000134352", items=[Item()], format="svg", size=400, error_correction="M",
        link_base="https://a.b",
    )  # fmt: skip
    head, line, _ = encode_request(request, ACCEPTANCE._replace(request_id="r-1"), 10)
    assert head.request_id == "r-1"
    older = line.replace(b'"request_id":"r-1",', b"")
    assert older != line
    assert decode_head(older).request_id == ""
