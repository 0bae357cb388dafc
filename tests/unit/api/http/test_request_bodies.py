import gzip
import io
import tracemalloc
import zlib

import falcon
import pytest
from falcon.testing import create_environ
from hypothesis import given
from hypothesis import strategies as st

from api.http.deadlines import BodyDeadline
from api.http.negotiation import CSV, JSON
from api.http.problems import ProblemError
from api.http.request_bodies import BodyReader

LIMIT = 1_000_000
BODIES = BodyReader(BodyDeadline(60))


class Slow(io.RawIOBase):
    """A connection that gives a few bytes at a time."""

    def __init__(self, data: bytes, at_a_time: int) -> None:
        self._data = io.BytesIO(data)
        self._at_a_time = at_a_time

    def read(self, size: int = -1) -> bytes:
        return self._data.read(min(size, self._at_a_time))


def read(
    data: bytes, *, limit: int = LIMIT, at_a_time: int = LIMIT, length: str = "", **headers: str
) -> tuple[str, bytes]:
    sent = {"Content-Type": JSON, **{name.replace("_", "-"): headers[name] for name in headers}}
    environ = create_environ(method="POST", headers=sent)
    environ["wsgi.input"] = Slow(data, at_a_time)
    environ.pop("CONTENT_LENGTH", None)
    if length:
        environ["CONTENT_LENGTH"] = length
    return BODIES.read(falcon.Request(environ), limit, (JSON, CSV))


def refusal(data: bytes, *, limit: int = LIMIT, length: str = "", **headers: str) -> ProblemError:
    with pytest.raises(ProblemError) as caught:
        read(data, limit=limit, at_a_time=LIMIT, length=length, **headers)
    return caught.value


@given(
    st.lists(st.binary(max_size=300).map(lambda each: each * 400), min_size=1, max_size=4),
    st.integers(1, 3000),
)
def test_gzip_is_inflated_however_it_is_cut(members: list[bytes], at_a_time: int) -> None:
    sent = b"".join(map(gzip.compress, members))
    whole = b"".join(members)
    as_csv = read(sent, at_a_time=at_a_time, Content_Encoding="gzip", Content_Type=CSV)
    assert as_csv == (CSV, whole)
    marked = gzip.compress(b"\xef\xbb\xbf[1,") + sent
    as_json = read(marked, at_a_time=at_a_time, Content_Encoding="gzip")
    assert as_json == (JSON, b"[1," + whole)


@given(st.binary(max_size=200), st.data())
def test_broken_gzip_is_400(data: bytes, chosen: st.DataObject) -> None:
    whole = gzip.compress(data)
    cut = whole[: chosen.draw(st.integers(0, len(whole) - 1))]
    garbage = whole + chosen.draw(st.binary(min_size=1, max_size=9).filter(no_member))
    for broken in (cut, garbage, data + b"x"):
        error = refusal(broken, Content_Encoding="gzip")
        assert (error.status, error.code) == (400, "malformed_gzip")
    flipped = whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]
    assert refusal(flipped, Content_Encoding="gzip").code == "malformed_gzip"


def no_member(data: bytes) -> bool:
    return not data.startswith(b"\x1f\x8b")


@pytest.mark.parametrize("coding", ["GZIP", "x-gzip", " gzip "])
def test_the_names_of_gzip(coding: str) -> None:
    assert read(gzip.compress(b"{}"), Content_Encoding=coding)[1] == b"{}"


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "*", "ü"])
def test_another_coding_is_415_and_told_which_is_taken(coding: str) -> None:
    error = refusal(zlib.compress(b"{}"), Content_Encoding=coding)
    assert (error.status, error.code) == (415, "unsupported_coding")
    assert error.headers == {"Accept-Encoding": "gzip"}


def test_a_bomb_costs_its_limit() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    assert len(bomb) < LIMIT
    tracemalloc.start()
    error = refusal(bomb, Content_Encoding="gzip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (error.status, error.code) == (413, "too_large")
    assert peak < 4 * LIMIT


def test_many_empty_members_are_read() -> None:
    assert read(gzip.compress(b"") * 1000, Content_Encoding="gzip")[1] == b""
    assert refusal(gzip.compress(b"") * 1001, Content_Encoding="gzip").code == "malformed_gzip"


@pytest.mark.parametrize("length", ["", "100"])
def test_the_limit_is_that_of_the_body(length: str) -> None:
    assert read(bytes(100), limit=100, length=length)[1] == bytes(100)
    assert refusal(bytes(101), limit=100).status == 413
    assert refusal(b"", limit=100, length="101").status == 413
    assert read(gzip.compress(bytes(100)), limit=100, Content_Encoding="gzip")[1] == bytes(100)
    assert refusal(gzip.compress(bytes(101)), limit=100, Content_Encoding="gzip").status == 413


def test_a_body_that_ends_too_early_is_400() -> None:
    assert refusal(b"{}", length="3").code == "short_body"


@pytest.mark.parametrize(
    "media_type",
    [
        "text/csv",
        "TEXT/CSV; charset=UTF-8",
        'text/csv;charset="utf-8";header=present',
        "text/csv; charset=utf8",
        'text/csv; charset="UTF8"',
        "text/csv; charset='utf-8'",
        "text/csv; charset=US-ASCII",
        "text/csv; charset=utf-16",
        "text/csv; charset=UTF-16LE",
    ],
)
def test_the_names_of_csv(media_type: str) -> None:
    assert read(b"lot\n", Content_Type=media_type) == (CSV, b"lot\n")


@pytest.mark.parametrize("charset", ["utf8", "UTF8", '"UTF-8"', "us-ascii"])
def test_names_of_utf_8_are_accepted_for_json(charset: str) -> None:
    assert read(b"\xef\xbb\xbf{}", Content_Type=f"application/json; charset={charset}") == (
        JSON,
        b"{}",
    )


@pytest.mark.parametrize(
    "media_type",
    [
        "",
        "text/plain",
        "text/csv; charset=latin1",
        "text/csv; charset=windows-1252",
        "application/json; charset=utf-16",
        "text/csv; charset=utf-32",
        "x",
    ],
)
def test_another_media_type_or_character_set_is_415(media_type: str) -> None:
    assert refusal(b"lot\n", Content_Type=media_type).code == "unsupported_media_type"
