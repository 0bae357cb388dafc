import re
from urllib.parse import unquote, urlsplit

import pytest
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from hypothesis import given
from hypothesis import strategies as st

from render.gs1.gtin import check_digit
from render.gs1.link import digital_link_uri, encode_value
from tests.unit.render.samples import CSET82

BASE = "https://id.gs1.org"
GTIN = "09506000134352"
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))

gtins = st.text("0123456789", min_size=13, max_size=13).map(lambda p: p + str(check_digit(p)))
values = st.none() | st.text(CSET82, min_size=1, max_size=20)
expiries = st.none() | st.dates().map(lambda date: f"{date.year % 100:02}{date:%m%d}")


@given(
    base=st.sampled_from([BASE, "https://dl.example.com/qr", "http://localhost:8000"]),
    gtin=gtins,
    lot=values,
    serial=values,
    expiry=expiries,
)
def test_biip_reads_back_every_value(
    base: str, gtin: str, lot: str | None, serial: str | None, expiry: str | None
) -> None:
    uri = digital_link_uri(base, gtin, lot, serial, expiry)
    assert uri.startswith(f"{base}/01/{gtin}")
    found = {
        element.ai.ai: element.value for element in GS1DigitalLinkURI.parse(uri).element_strings
    }
    sent = {"01": gtin, "10": lot, "21": serial, "17": expiry}
    assert found == {ai: value for ai, value in sent.items() if value is not None}


@given(value=st.text(PRINTABLE, min_size=1, max_size=20))
def test_a_value_is_one_path_segment_of_unreserved_characters(value: str) -> None:
    encoded = encode_value(value)
    assert re.fullmatch(r"(?:[A-Za-z0-9\-._]|%[0-9A-F]{2})+", encoded)
    assert unquote(encoded) == value
    path = urlsplit(digital_link_uri(BASE, GTIN, value, None, None)).path
    assert path == f"/01/{GTIN}/10/{encoded}"


def test_the_order_is_gtin_lot_serial_and_then_the_query() -> None:
    assert digital_link_uri(BASE, GTIN, "L1", "S1", "271200") == (
        f"{BASE}/01/{GTIN}/10/L1/21/S1?17=271200"
    )
    assert digital_link_uri(BASE, GTIN, None, "S1", None) == f"{BASE}/01/{GTIN}/21/S1"
    assert digital_link_uri(BASE, GTIN, None, None, None) == f"{BASE}/01/{GTIN}"


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        ("A/B", "A%2FB"),
        ("A?B", "A%3FB"),
        ("50%", "50%25"),
        ("%2F", "%252F"),
        ("a+b", "a%2Bb"),
        ("a=b&c", "a%3Db%26c"),
        ("#1", "%231"),
        ("a~b", "a%7Eb"),
        ("[\\]", "%5B%5C%5D"),
        ("x-1._y", "x-1._y"),
        ("007", "007"),
        (";,:!\"'()*<>", "%3B%2C%3A%21%22%27%28%29%2A%3C%3E"),
    ],
)
def test_reserved_characters_are_encoded_and_no_other(value: str, encoded: str) -> None:
    assert encode_value(value) == encoded


@pytest.mark.parametrize("lot", [".", ".."])
def test_a_lot_of_dots_is_kept_and_biip_reads_it(lot: str) -> None:
    # RFC 3986, 5.2.4: who resolves the URI, like a browser, drops such a segment, encoded or not;
    # who parses it, like a scanner that follows GS1 Digital Link, does not.
    uri = digital_link_uri(BASE, GTIN, lot, "S1", None)
    assert uri == f"{BASE}/01/{GTIN}/10/{lot}/21/S1"
    elements = GS1DigitalLinkURI.parse(uri).element_strings
    assert [element.value for element in elements] == [GTIN, lot, "S1"]
