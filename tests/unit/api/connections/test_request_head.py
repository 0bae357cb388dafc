"""When a request is complete, compared with gunicorn's own parser."""

import pytest
from gunicorn.config import Config
from gunicorn.http import get_parser
from gunicorn.http.errors import ParseException
from hypothesis import given
from hypothesis import strategies as st

from api.connections.request_head import SMALL_BODY, read_head, without_expectation

GET = b"GET /qr/bulk/?limit=1 HTTP/1.1\r\nHost: a\r\n"


class Ended(Exception):  # noqa: N818 - no error: the parser wants more
    """Raised when the parser reads beyond what has arrived."""


def wants_more(data: bytes) -> bool:
    """Return whether gunicorn's parser waits for more than ``data`` before it has a head."""

    def arriving() -> object:
        yield data
        raise Ended

    config = Config()
    try:
        next(get_parser(config, arriving(), ("127.0.0.1", 1)))
    except Ended:
        return True
    except ParseException:
        return False
    return False


PIECES = st.sampled_from(
    ["\r\n", "\n", "\r", "GET / HTTP/1.1", "Host: a", "A: b", " ", "x", ":", "\r\n\r\n", "\0"]
).map(str.encode)


@given(st.lists(PIECES, min_size=1, max_size=12).map(b"".join))
def test_gunicorn_never_waits_for_more_than_a_complete_head(data: bytes) -> None:
    if read_head(bytearray(data)) is not None:
        assert not wants_more(data)


@pytest.mark.parametrize(
    ("fields", "body", "large", "expects"),
    [
        (b"", 0, False, False),
        (b"Content-Length: 0\r\n", 0, False, False),
        (b"content-length:\t12 \r\n", 12, False, False),
        (b"Content-Length: %d\r\n" % SMALL_BODY, SMALL_BODY, False, False),
        (b"Content-Length: %d\r\n" % (SMALL_BODY + 1), 0, True, False),
        (b"Transfer-Encoding: chunked\r\n", 0, True, False),
        (b"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", 0, True, False),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", 0, False, False),  # gunicorn rejects it
        (b"Content-Length: -5\r\n", 0, False, False),
        (b"X-Content-Length: 5\r\n", 0, False, False),
        (b"Content-Length: 5\r\nExpect: 100-Continue\r\n", 5, False, True),
        (b"Expect: 100-continue\r\n", 0, False, False),
        (b"Content-Length: 99999\r\nExpect: 100-continue\r\n", 0, True, False),
    ],
)
def test_a_small_body_belongs_to_what_has_to_arrive(
    fields: bytes,
    body: int,
    large: bool,  # noqa: FBT001 - a parameter of the test
    expects: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    head = read_head(bytearray(GET + fields + b"\r\n" + b"the body"))
    assert head is not None
    assert (head.body, head.large, head.expects) == (body, large, expects)
    assert head.size == len(GET + fields) + 2
    assert head.path == b"/qr/bulk"


def test_the_last_address_is_that_of_the_last_field() -> None:
    fields = b"X-Forwarded-For: 1.1.1.1\r\nx-forwarded-for:2.2.2.2, 3.3.3.3\r\n\r\n"
    head = read_head(bytearray(GET + fields + b"X-Forwarded-For: 4.4.4.4\r\n"))
    assert head is not None
    assert head.forwarded_for == "2.2.2.2, 3.3.3.3"


def test_an_expectation_that_was_met_is_removed_from_the_head_alone() -> None:
    body = b"\r\nExpect: 100-continue\r\n"
    received = bytearray(GET + b"Expect: 100-continue\r\nContent-Length: 24\r\n\r\n" + body)
    head = read_head(received)
    assert head is not None
    assert without_expectation(received, head) == GET + b"Content-Length: 24\r\n\r\n" + body
