"""JSON requests: decoded at once or in batches, with the same result and in bounded memory."""

import tracemalloc

import msgspec
import pytest

from api.http.problems import ProblemError
from api.intake.json_items import _MOST_AT_ONCE
from tests.unit.api.bulk_requests import GTIN, LIMITS, items_of, parse_bulk

#: Maximum memory per byte of a body. Undecoded empty items take the most, 22 bytes per byte.
MOST_PER_BYTE = 24
ITEMS = b'[{"lot":"A:B","serial":"\\u003a"},{"lot":null},{},{"expiry":"270200","serial":"S"}]'
HEADS = [
    b"",
    b',"callback_url":"https://hooks.example.com:443/"',
    b',"callback_url":"https:\\/\\/hooks.example.com"',
    b',"format":"svg","size":500,"error_correction":"H","strict":false',
    b',"size":400.0',
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("chunk_size", [1, 3, 4, 250])
def test_small_and_large_bodies_mean_the_same(head: bytes, chunk_size: int) -> None:
    body = b'{"gtin":"%s","items":%s%s}' % (GTIN.encode(), ITEMS, head)
    limits = LIMITS._replace(chunk_size=chunk_size)
    small = parse_bulk(body, limits)
    large = parse_bulk(body + b" " * _MOST_AT_ONCE, limits)
    assert items_of(small) == items_of(large)
    assert msgspec.json.encode(small.items.chunks) == msgspec.json.encode(large.items.chunks)
    assert msgspec.structs.replace(small, items=large.items) == large


@pytest.mark.parametrize("value", [b"{}", b'{"lot":"a"}', b'{"lot":null}', b'{"lot":":"}', b"0"])
@pytest.mark.parametrize("size", [_MOST_AT_ONCE, _MOST_AT_ONCE + 100, 4 * 1024 * 1024])
def test_a_body_of_too_many_items_is_refused_in_bounded_memory(value: bytes, size: int) -> None:
    body = b'{"gtin":"%s","items":[%s]}' % (
        GTIN.encode(),
        b",".join([value] * ((size - 50) // (len(value) + 1))),
    )
    tracemalloc.start()
    try:
        with pytest.raises(ProblemError) as caught:
            parse_bulk(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (caught.value.status, caught.value.code) == (422, "invalid_request")
    assert peak < MOST_PER_BYTE * size
